"""The default completer: a non-negative blend of the others, weighted by how they predict cells hidden from them.

Each member predicts the same hidden cells; non-negative least squares over these predictions gives the weights (Breiman
1996, "Stacked regressions"), each cell weighing by how sure the best member is of it. The blend is used only where it
beats the best member on hidden cells under weights that did not see them; otherwise that member stands alone. On sparse
tables CatBoost may correct what is left (see `boosted`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from lib.performance_prediction.als.biased_als import BiasedAls
from lib.performance_prediction.als.fold_in import SMALLEST_SPREAD
from lib.performance_prediction.completers.additive import Additive
from lib.performance_prediction.completers.bayesian_mf import BayesianMf
from lib.performance_prediction.completers.boosted import Correction, boosted_correction
from lib.performance_prediction.completers.knn import NearestNeighbours
from lib.performance_prediction.completers.soft_impute import SoftImpute
from lib.performance_prediction.table.hold_out import OnFold, draw_folds, hold_out_predictions
from lib.performance_prediction.table.score_table import (
    COMPLETERS,
    Completer,
    Completion,
    Floats,
    HeldOut,
    ScoreTable,
)

EARNS_FROM = 0.002  # least relative gain in mean absolute error for which a blend is worth its members
BLEND_FOLDS = 5
SUM_TO_ONE = 10.0  # how many typical cells the belief in weights of sum 1 is worth
SAFEST = "additive"  # stands where no cell can be hidden
NEGLIGIBLE = 0.03  # a smaller weight is not worth a member's fit
SINGULAR_VALUES_UP_TO_CELLS = 40_000  # soft-impute's hundreds of decompositions are affordable up to here
NEIGHBOURS_UP_TO_CELLS = 200_000


@dataclass(frozen=True)
class BlendWeights:
    """Weight of each member by name, and the mean absolute error on hidden cells of the blend and of each member alone."""

    weights: Mapping[str, float]
    blend_error: float
    member_errors: Mapping[str, float]


class BlendedCompletion(Completion):
    """The weighted sum of its members; their disagreement counts as uncertainty."""

    def __init__(self, parts: Mapping[str, Completion], blend: BlendWeights, held_out: HeldOut) -> None:
        self.parts = parts
        self.blend = blend
        self.held_out = held_out
        self.corrected = False
        names = list(parts)
        self.mean, self.spread = blended(
            [parts[name].mean for name in names], [parts[name].spread for name in names], self._weights()
        )

    def correct(self, correction: Correction) -> None:
        """Takes over a correction of the table's own cells; new rows are answered by the members alone."""
        self.mean, self.held_out, self.corrected = correction.mean, correction.held_out, True

    def _weights(self) -> list[float]:
        return [self.blend.weights[name] for name in self.parts]

    def fold_in(self, values: Floats, features: pd.DataFrame | None = None) -> tuple[Floats, Floats]:
        """See `Completion.fold_in`: the members' answers, blended alike."""
        told = [part.fold_in(values, features) for part in self.parts.values()]
        return blended([mean for mean, _ in told], [spread for _, spread in told], self._weights())


def blended(
    means: Sequence[Floats], spreads: Sequence[Floats], weights: Sequence[float]
) -> tuple[Floats, Floats]:
    """Weighted sum of `means`, clipped to [0, 1], and the standard deviation of the mixture of the members."""
    mean = np.clip(sum(w * m for w, m in zip(weights, means, strict=True)), 0.0, 1.0)
    total = max(sum(weights), 1e-9)
    mixture = zip(weights, means, spreads, strict=True)
    variance = sum(w / total * (np.square(s) + np.square(m - mean)) for w, m, s in mixture)
    return mean, np.maximum(np.sqrt(variance), SMALLEST_SPREAD)


def nonnegative_weights(predictions: Floats, truth: Floats, certainty: Floats) -> Floats:
    """w ≥ 0, (n_members,), that minimises Σ certainty²·(truth − predictions·w)², softly held to a sum of 1.

    `predictions` (n_cells, n_members), `truth` and `certainty` (n_cells,).
    """
    from scipy.optimize import nnls  # half a second that a recommendation does not need

    hold = np.sqrt(SUM_TO_ONE) * float(np.sqrt(np.mean(np.square(certainty * truth))) + 1e-9)
    left = np.vstack([predictions * certainty[:, None], np.full((1, predictions.shape[1]), hold)])
    weights, _ = nnls(left, np.append(truth * certainty, hold))
    return weights


def choose_weights(table: ScoreTable, held_out: Mapping[str, HeldOut], seed: int) -> BlendWeights:
    """Weights from the members' predictions of hidden cells: of the blend if it earns its place, else 1 for the best member."""
    names = list(held_out)
    used = np.isfinite(held_out[names[0]].mean)
    if not used.any():
        return BlendWeights({SAFEST: 1.0}, float("nan"), {})
    predictions = np.stack([held_out[name].mean[used] for name in names], axis=1)
    truth = table.values[used]
    errors = {
        name: float(e) for name, e in zip(names, np.abs(predictions - truth[:, None]).mean(0), strict=True)
    }
    best = min(errors, key=lambda name: errors[name])
    alone = BlendWeights({best: 1.0}, errors[best], errors)
    if len(truth) < 4 * len(names):
        return alone
    spread = held_out[best].spread[used]
    certainty = 1 / np.maximum(spread, np.quantile(spread, 0.1))
    folds = draw_folds(np.ones((1, len(truth)), dtype=bool), BLEND_FOLDS, seed)[0]
    guess = np.empty_like(truth)
    for fold in range(BLEND_FOLDS):
        rest = folds != fold
        guess[~rest] = predictions[~rest] @ nonnegative_weights(
            predictions[rest], truth[rest], certainty[rest]
        )
    error = float(np.abs(np.clip(guess, 0, 1) - truth).mean())
    if error > (1 - EARNS_FROM) * errors[best]:
        return alone
    weights = nonnegative_weights(predictions, truth, certainty)
    kept = weights >= NEGLIGIBLE
    if kept.sum() < 2:
        return alone
    weights = np.where(kept, weights, 0.0) * weights.sum() / weights[kept].sum()
    return BlendWeights({n: float(w) for n, w in zip(names, weights, strict=True) if w > 0}, error, errors)


@COMPLETERS.register("stack")
@dataclass(frozen=True)
class Stack(Completer):
    """Blend of Bayesian MF (both scales, two ranks), soft-impute, kNN, ALS and row + column bias."""

    members: Mapping[str, Completer] = field(default_factory=dict)
    on_fold: OnFold | None = None

    def tuned(self, table: ScoreTable, seed: int = 0) -> Stack:
        """See `Completer.tuned`: every member tuned."""
        return self if self.members else replace(self, members=tuned_members(table, seed))

    def fit(self, table: ScoreTable, seed: int = 0) -> Completion:
        """See `Completer.fit`."""
        members = self.tuned(table, seed).members
        held_out = {}
        for done, (name, member) in enumerate(members.items(), start=1):
            cheap = member.shortened() if isinstance(member, BayesianMf) else member
            held_out[name] = hold_out_predictions(table, cheap, seed)
            if self.on_fold:
                self.on_fold(done, len(members) + 1)
        blend = choose_weights(table, held_out, seed)
        parts = {name: members[name].fit(table, seed) for name in blend.weights}
        hidden = [held_out[name] for name in parts]
        weights = list(blend.weights.values())
        told = HeldOut(*blended([h.mean for h in hidden], [h.spread for h in hidden], weights))
        completion = BlendedCompletion(parts, blend, told)
        correction = boosted_correction(table, completion.mean, completion.spread, told, seed)
        if correction:
            completion.correct(correction)
        return completion


def tuned_members(table: ScoreTable, seed: int) -> dict[str, Completer]:
    """The members of the default blend, tuned on `table`; the slowest ones only where the table is small enough for them."""
    bayesian = BayesianMf().tuned(table, seed)
    size = table.values.size
    members: dict[str, Completer] = {
        "bayesian_mf": bayesian,
        "bayesian_mf_half_rank": bayesian.of_half_rank(),
    }
    others: dict[str, Completer] = {"als": BiasedAls(), "additive": Additive()}
    if size <= SINGULAR_VALUES_UP_TO_CELLS:
        members["bayesian_mf_other_scale"] = bayesian.on_other_scale()
        others["soft_impute"] = SoftImpute()
    if size <= NEIGHBOURS_UP_TO_CELLS:
        others["knn"] = NearestNeighbours()
    return members | {name: completer.tuned(table, seed) for name, completer in others.items()}
