"""A new row given its known cells: a multivariate normal over the pairs, conditioned on cells that have a standard error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from lib.performance_prediction.als.explicit import fit_als, supported_rank
from lib.performance_prediction.als.matrix import family_weights, side_of_pairs
from lib.performance_prediction.boosting import contract
from lib.performance_prediction.boosting.cells import Pair
from lib.performance_prediction.boosting.contract import Floats, KnownCells
from lib.performance_prediction.boosting.evidence import Evidence
from lib.performance_prediction.rows.covariance import ResidualMoments, Shrinkage
from lib.performance_prediction.table.scales import Scale
from lib.records import DataSetFacts

Ints = npt.NDArray[np.int64]

WEIGHTS = (0.02, 0.1, 0.3, 0.6)  # how far the covariance is drawn towards one correlation of all pairs
NOISES = (0.003, 0.03, 0.1, 0.3)  # what of a pair's variance no other pair tells

FILLING_RANK, FILLING_REGULARISATION, FILLING_SWEEPS = (
    3,
    1.0,
    25,
)  # what cross-validation chooses for such tables


@dataclass(frozen=True)
class FittedPairGaussian(contract.FittedSetPredictor):
    """`mean` (n_pairs,) over the families; `moments` of the departures from it; `error`: mean squared standard error of the
    cells learnt from, which their variance already holds."""

    pairs: tuple[Pair, ...]
    mean: Floats
    moments: ResidualMoments
    weight: float
    noise: float
    error: float

    def predict(self, facts: DataSetFacts, pairs: Sequence[Pair], known: KnownCells) -> Floats:
        given = np.array([j for j, pair in enumerate(self.pairs) if pair in known], dtype=np.int64)
        cells = [known[self.pairs[j]] for j in given]
        own = np.zeros(len(self.pairs))
        own[given] = [max(cell.standard_error**2 - self.error, 0.0) for cell in cells]
        surprise = np.array([cell.quality for cell in cells]) - self.mean[given]
        shrinkage = Shrinkage(own, self.weight, self.noise)
        row = shrinkage.condition(self.moments.part(given[None]), self.mean[None], surprise[None]).mean[0]
        said, level = dict(zip(self.pairs, row.tolist(), strict=True)), float(self.mean.mean())
        return np.clip([said.get(pair, level) for pair in pairs], 0.0, 1.0)


@contract.SET_PREDICTORS.register("pair_gaussian")
class PairGaussian(contract.SetPredictor):
    """Shrinkage chosen by leaving families out, their probe's cells known and the rest of the row predicted."""

    regimes = ("probed",)
    simplicity = 5

    def fit(self, evidence: Evidence, seed: int = 0) -> FittedPairGaussian:
        values, family_of = filled(evidence), {n: evidence.families[n] for n in evidence.data_sets}
        families = np.unique([*family_of.values()], return_inverse=True)[1]
        weights = np.array([*family_weights(family_of).values()])
        errors = [cell.standard_error for cell in evidence.cells if cell.standard_error is not None]
        given = np.array([j for j, p in enumerate(evidence.pairs) if p in evidence.probed], dtype=np.int64)
        return FittedPairGaussian(
            evidence.pairs,
            *_mean_and_moments(values, weights),
            *_best_shrinkage(values, weights, families, given),
            float(np.mean(np.square(errors))) if errors else 0.0,
        )


def filled(evidence: Evidence) -> Floats:
    """The table of qualities, its holes filled by ALS: dear pairs are run on few sets, and lean on their relatives there."""
    values = evidence.values
    if np.isfinite(values).all():
        return values
    scale, rank = Scale.fitted("identity", values), min(FILLING_RANK, supported_rank(values))
    sides = None, side_of_pairs(evidence.pairs)
    model = fit_als(scale.forward(values), rank, FILLING_REGULARISATION, FILLING_SWEEPS, 0, None, *sides)
    return np.where(np.isfinite(values), values, scale.backward(model.predict()))


def _mean_and_moments(values: Floats, weights: Floats) -> tuple[Floats, ResidualMoments]:
    mean = np.average(values, axis=0, weights=weights)
    return mean, ResidualMoments.of((values - mean) * np.sqrt(weights / weights.mean())[:, None])


def _best_shrinkage(values: Floats, weights: Floats, families: Ints, given: Ints) -> tuple[float, float]:
    """Weight and noise with the least absolute error on the pairs that the probe does not measure, families weighing alike."""
    hidden = np.setdiff1d(np.arange(values.shape[1]), given)
    if len(np.unique(families)) < 3 or not len(given) or not len(hidden):
        return WEIGHTS[-1], NOISES[-1]
    errors: dict[tuple[float, float], list[float]] = {choice: [] for choice in product(WEIGHTS, NOISES)}
    for family in np.unique(families):
        own, rest = values[families == family], families != family
        mean, moments = _mean_and_moments(values[rest], weights[rest])
        part, prior = moments.part(np.tile(given, (len(own), 1))), np.tile(mean, (len(own), 1))
        for (weight, noise), found in errors.items():
            shrinkage = Shrinkage(np.zeros(len(mean)), weight, noise)
            said = shrinkage.condition(part, prior, own[:, given] - mean[given]).mean
            found.append(float(np.abs(said - own)[:, hidden].mean()))
    return min(errors, key=lambda choice: float(np.mean(errors[choice])))
