"""Soft-Impute: the low-rank table closest to the measured cells under a nuclear-norm penalty.

Z ← S_λ(P(X) + P⊥(Z)), where S_λ lowers every singular value by λ (Mazumder, Hastie & Tibshirani 2010, "Spectral
regularization algorithms for learning large incomplete matrices"). Row and column biases are taken out first; λ runs down
a path with warm starts and stops where hidden cells are predicted best.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lib.performance_prediction.completers.additive import without_biases
from lib.performance_prediction.table.hold_out import choice_cells
from lib.performance_prediction.table.score_table import COMPLETERS, Completer, Completion, Floats, ScoreTable

PATH_LENGTH = 12
PATH_START, PATH_END = 0.8, 0.02  # largest and smallest λ, as shares of the largest singular value


def soft_impute(
    residual: Floats, penalty: float, start: Floats | None = None, steps: int = 60, tolerance: float = 1e-4
) -> Floats:
    """The fixed point Z (n_rows, n_columns) for one penalty λ; `residual` has NaN where not measured."""
    observed = np.isfinite(residual)
    current = np.zeros_like(residual) if start is None else start
    for _ in range(steps):
        before, size = current, float(np.square(current).sum())
        current = _shrink_singular_values(np.where(observed, residual, before), penalty)
        if float(np.square(current - before).sum()) <= tolerance**2 * max(size, 1e-12):
            break
    return current


def _shrink_singular_values(matrix: Floats, penalty: float) -> Floats:
    left, singular, right = np.linalg.svd(matrix, full_matrices=False)
    kept = int(np.sum(singular > penalty))
    return (left[:, :kept] * (singular[:kept] - penalty)) @ right[:kept]


def penalty_path(residual: Floats) -> Floats:
    """Decreasing penalties from just below the one that leaves nothing, (PATH_LENGTH,)."""
    largest = float(np.linalg.norm(np.nan_to_num(residual), 2))
    return max(largest, 1e-9) * np.geomspace(PATH_START, PATH_END, PATH_LENGTH)


@COMPLETERS.register("soft_impute")
@dataclass(frozen=True)
class SoftImpute(Completer):
    """Nuclear-norm completion of what row and column biases leave, on the logit scale."""

    share: float | None = None

    def tuned(self, table: ScoreTable, seed: int = 0) -> SoftImpute:
        """See `Completer.tuned`: fixes λ as a share of the largest singular value."""
        if self.share is not None:
            return self
        hidden = choice_cells(table.observed, seed)
        if not hidden.any() or hidden.sum() == table.observed.sum():
            return SoftImpute(0.5)
        scale, additive, residual = without_biases(table.hiding(hidden))
        path, errors, current = penalty_path(residual), [], None
        for penalty in path:
            current = soft_impute(residual, float(penalty), current)
            guess = scale.backward(additive.cells() + current)
            errors.append(float(np.abs(guess[hidden] - table.values[hidden]).mean()))
            if len(errors) > 2 and errors[-1] > errors[-2] > errors[-3]:
                break
        return SoftImpute(float(path[int(np.argmin(errors))] / (path[0] / PATH_START)))

    def fit(self, table: ScoreTable, seed: int = 0) -> Completion:
        share = self.tuned(table, seed).share
        assert share is not None
        scale, additive, residual = without_biases(table)
        path = penalty_path(residual)
        last, current = share * path[0] / PATH_START, np.zeros_like(residual)
        for penalty in [*path[path > 1.2 * last], last]:
            current = soft_impute(residual, float(penalty), current)
        mean = scale.backward(additive.cells() + current)
        return Completion(mean, _spread(residual - current, additive.spread()) * scale.slope(mean))


def _spread(left: Floats, additive_spread: Floats) -> Floats:
    """Root mean squares of what is left of each row and column, multiplied; the additive model's where nothing was measured."""
    squares = np.square(np.nan_to_num(left))
    observed = np.isfinite(left)
    overall = float(squares.sum() / max(observed.sum(), 1)) + 1e-8
    rows = (squares.sum(axis=1) + 3 * overall) / (observed.sum(axis=1) + 3)
    columns = (squares.sum(axis=0) + 3 * overall) / (observed.sum(axis=0) + 3)
    few_in_row, few_in_column = (np.sqrt(1 + 4 / (1 + observed.sum(axis=axis))) for axis in (1, 0))
    ratio = few_in_row[:, None] * few_in_column
    return np.minimum(np.sqrt(rows[:, None] * columns / overall) * ratio, 3 * additive_spread)
