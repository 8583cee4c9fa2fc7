"""A new row given its known cells: a multivariate normal over the pairs, conditioned on cells that have a standard error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from lib.performance_prediction.als.explicit import fit_als, supported_rank
from lib.performance_prediction.als.matrix import family_weights, side_of_pairs
from lib.performance_prediction.boosting import contract
from lib.performance_prediction.boosting.cells import Pair
from lib.performance_prediction.boosting.contract import Floats, KnownCells
from lib.performance_prediction.boosting.evidence import Evidence
from lib.performance_prediction.boosting.leave_set_out import halves_of, regret
from lib.performance_prediction.table.scales import Scale
from lib.records import DataSetFacts
from lib.records.schema import head_of

Ints = npt.NDArray[np.int64]

LEAST_EIGENVALUE = 1e-3  # of a correlation matrix: means over sorts of pairs need not be one
FILLING_RANK, FILLING_REGULARISATION, FILLING_SWEEPS = (
    3,
    1.0,
    25,
)  # what cross-validation chooses for such tables


class Shrinking(NamedTuple):
    """How far a pair's correlations are drawn to those of its sort, and its variance to the mean one; `noise`: what of its variance no
    other pair tells."""

    correlation: float
    variance: float
    noise: float


SHRINKINGS = tuple(Shrinking(*one) for one in product((0.3, 0.6, 0.9), (0.0, 0.5, 1.0), (0.01, 0.1, 0.3)))
CAUTIOUS = SHRINKINGS[-1]


@dataclass(frozen=True)
class FittedPairGaussian(contract.FittedSetPredictor):
    """`mean` (n_pairs,) over the families, `covariance` (n_pairs, n_pairs) of the departures from it; `noise` (n_pairs,) of a known
    cell; `error`: mean squared standard error of the cells learnt from, which their variance already holds."""

    shrinks_known = True

    pairs: tuple[Pair, ...]
    mean: Floats
    covariance: Floats
    noise: Floats
    error: float

    def predict(self, facts: DataSetFacts, pairs: Sequence[Pair], known: KnownCells) -> Floats:
        given = np.array([j for j, pair in enumerate(self.pairs) if pair in known], dtype=np.int64)
        cells = [known[self.pairs[j]] for j in given]
        own = np.array([max(cell.standard_error**2 - self.error, 0.0) for cell in cells])
        surprise = np.array([cell.quality for cell in cells]) - self.mean[given]
        row = self.mean + gain(self.covariance, given, self.noise[given] + own) @ surprise
        said, level = dict(zip(self.pairs, row.tolist(), strict=True)), float(self.mean.mean())
        return np.clip([said.get(pair, level) for pair in pairs], 0.0, 1.0)


def gain(covariance: Floats, given: Ints, noise: Floats) -> Floats:
    """What one unit of surprise at each given cell adds to the mean of every pair, (n_pairs, n_given): normal conditioning."""
    among = covariance[np.ix_(given, given)] + np.diag(noise)
    gained: Floats = np.linalg.solve(among, covariance[given]).T.astype(np.float64)
    return gained if len(given) else np.zeros((len(covariance), 0))


@contract.SET_PREDICTORS.register("pair_gaussian")
class PairGaussian(contract.SetPredictor):
    """Shrinking chosen by leaving families out, their probe's cells known: by the error of the rest of the row."""

    regimes = ("probed",)
    simplicity = 5
    chosen_by: ClassVar[Literal["error", "regret"]] = "error"

    def fit(self, evidence: Evidence, seed: int = 0) -> FittedPairGaussian:
        table = _Table.of(evidence)
        losses = np.mean([*table.losses(self.chosen_by)] or [[0.0] * len(SHRINKINGS)], axis=0)
        shrinking = SHRINKINGS[int(np.argmin(losses))] if losses.any() else CAUTIOUS
        mean, spread = table.moments(np.ones(len(table.values), dtype=bool))
        covariance = spread.shrunk(shrinking)
        return FittedPairGaussian(
            evidence.pairs, mean, covariance, shrinking.noise * np.diag(covariance), table.error
        )


@contract.SET_PREDICTORS.register("pair_order")
class PairOrder(PairGaussian):
    """The same, its shrinking chosen by what the first pair misses: told half of the folds, judged on the other."""

    chosen_by = "regret"


@dataclass(frozen=True)
class _Spread:
    """Variances (n_pairs,) and correlations (n_pairs, n_pairs) of departures from the mean; `alike`: those of each pair's sort."""

    variances: Floats
    correlations: Floats
    alike: Floats

    def shrunk(self, how: Shrinking) -> Floats:
        """The covariance, positive definite."""
        variances = (1 - how.variance) * self.variances + how.variance * self.variances.mean()
        return self._mixed[how.correlation] * np.sqrt(np.outer(variances, variances))

    @cached_property
    def _mixed(self) -> dict[float, Floats]:
        return {share: self._drawn(share) for share in {how.correlation for how in SHRINKINGS}}

    def _drawn(self, share: float) -> Floats:
        values, vectors = np.linalg.eigh((1 - share) * self.correlations + share * self.alike)
        return (vectors * np.maximum(values, LEAST_EIGENVALUE)) @ vectors.T


@dataclass(frozen=True)
class _Table:
    """Qualities `values` (n_sets, n_pairs) without holes, `weights` and `families` (n_sets,) of the sets, the `given` pairs, the sort of each
    two pairs `sorts` (n_pairs, n_pairs); `halves`: of each set (choosing, judging), (n_halves, n_pairs) each."""

    values: Floats
    weights: Floats
    families: Ints
    given: Ints
    sorts: Ints
    halves: tuple[tuple[Floats, Floats], ...]
    error: float

    @classmethod
    def of(cls, evidence: Evidence) -> _Table:
        family_of = {name: evidence.families[name] for name in evidence.data_sets}
        errors = [cell.standard_error for cell in evidence.cells if cell.standard_error is not None]
        return cls(
            values=filled(evidence),
            weights=np.array([*family_weights(family_of).values()]),
            families=np.unique([*family_of.values()], return_inverse=True)[1],
            given=np.array([j for j, p in enumerate(evidence.pairs) if p in evidence.probed], dtype=np.int64),
            sorts=sorts_of(evidence),
            halves=tuple(_halves(evidence)),
            error=float(np.mean(np.square(errors))) if errors else 0.0,
        )

    def moments(self, rows: npt.NDArray[np.bool_]) -> tuple[Floats, _Spread]:
        """Mean and spread of some rows, families weighing alike."""
        values, weights = self.values[rows], self.weights[rows]
        mean = np.average(values, axis=0, weights=weights)
        away = (values - mean) * np.sqrt(weights / weights.sum())[:, None]
        covariance = away.T @ away
        variances = np.maximum(np.diag(covariance), 1e-8)
        correlations = covariance / np.sqrt(np.outer(variances, variances))
        np.fill_diagonal(correlations, 1.0)
        apart = ~np.eye(len(variances), dtype=bool)
        n_sorts = int(self.sorts.max(initial=0)) + 1  # a sort may stand on the diagonal alone
        sums, counts = (np.bincount(self.sorts[apart], w, n_sorts) for w in (correlations[apart], None))
        alike = (sums / np.maximum(counts, 1))[self.sorts] if apart.any() else correlations
        alike[~apart] = 1.0
        return mean, _Spread(variances, correlations, alike)

    def losses(self, by: Literal["error", "regret"]) -> Iterator[list[float]]:
        """Of each family left out the loss of every one of SHRINKINGS; none where it cannot be measured."""
        hidden = np.setdiff1d(np.arange(self.values.shape[1]), self.given)
        if len(np.unique(self.families)) < 3 or not len(self.given) or not len(hidden):
            return
        for family in np.unique(self.families):
            own = np.flatnonzero(self.families == family)
            mean, spread = self.moments(self.families != family)
            gains = [self._gain(spread, how, half=by == "regret") for how in SHRINKINGS]
            if by == "error":
                surprise = (self.values[own][:, self.given] - mean[self.given]).T
                wanted = (self.values[own] - mean)[:, hidden].T
                yield [float(np.abs(one[hidden] @ surprise - wanted).mean()) for one in gains]
            else:
                found = [
                    [self._regret(i, mean, one) for one in gains]
                    for i in own.tolist()
                    if len(self.halves[i][0])
                ]
                known = [one for one in found if None not in one]
                if known:
                    yield np.mean(np.array(known, dtype=float), axis=0).tolist()

    def _gain(self, spread: _Spread, how: Shrinking, half: bool) -> Floats:
        covariance = spread.shrunk(how)
        noise = how.noise * np.diag(covariance)[self.given] + half * self.error  # of half the images: twice
        return gain(covariance, self.given, noise)

    def _regret(self, row: int, mean: Floats, gained: Floats) -> float | None:
        choosing, judging = self.halves[row]
        whole = np.isfinite(judging).all(axis=0)
        told = np.isfinite(choosing[:, self.given]).all(axis=0)
        surprise = choosing[:, self.given[told]] - mean[self.given[told]]
        said = mean + surprise @ gained[:, told].T
        return regret(said[:, whole], judging[:, whole], 1)


def _halves(evidence: Evidence) -> Iterator[tuple[Floats, Floats]]:
    """Of each set the qualities on halves of its folds, NaN for pairs that were not run on all of them."""
    column = {pair: j for j, pair in enumerate(evidence.pairs)}
    for name in evidence.data_sets:
        cells = [cell for cell in evidence.cells if cell.data_set == name]
        places = [column[cell.pair] for cell in cells]
        parts = halves_of(cells)[1:]
        wide = tuple(np.full((len(part), len(column)), np.nan) for part in parts)
        for target, part in zip(wide, parts, strict=True):
            target[:, places] = part
        yield wide[0], wide[1]


def sorts_of(evidence: Evidence) -> Ints:
    """The sort of each two pairs, (n_pairs, n_pairs): what the backbones are (without weights, frozen, fine-tuned), whether they are the
    same, whether the heads are. So few correlations are known well from dozens of data sets, a pair's own are not."""
    plain = {run.backbone.name for run in evidence.runs if run.backbone.weights_origin == "none"}
    kinds = [(p.backbone in plain, *head_of(p.head)[1:]) for p in evidence.pairs]
    heads = [head_of(pair.head)[0] for pair in evidence.pairs]
    names: dict[object, int] = {}

    def sort(i: int, j: int) -> int:
        same = evidence.pairs[i].backbone == evidence.pairs[j].backbone, heads[i] == heads[j]
        return names.setdefault((*sorted((kinds[i], kinds[j])), *same), len(names))

    places = range(len(kinds))
    return np.array([[sort(i, j) for j in places] for i in places], dtype=np.int64)


def filled(evidence: Evidence) -> Floats:
    """The table of qualities, its holes filled by ALS: dear pairs are run on few sets, and lean on their relatives there."""
    values = evidence.values
    if np.isfinite(values).all():
        return values
    scale, rank = Scale.fitted("identity", values), min(FILLING_RANK, supported_rank(values))
    sides = None, side_of_pairs(evidence.pairs)
    model = fit_als(scale.forward(values), rank, FILLING_REGULARISATION, FILLING_SWEEPS, 0, None, *sides)
    return np.where(np.isfinite(values), values, scale.backward(model.predict()))
