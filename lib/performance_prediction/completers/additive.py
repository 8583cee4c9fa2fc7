"""Row + column bias, shrunk by empirical Bayes: the trivial model that every other one has to beat.

q_ij = μ + a_i + c_j + e_ij with normal a, c, e; their three variances are estimated by EM (Searle, Casella & McCulloch
1992, "Variance Components", ch. 8, with the effects' posterior covariances taken one side at a time).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lib.performance_prediction.table import score_table
from lib.performance_prediction.table.scales import Scale
from lib.performance_prediction.table.score_table import COMPLETERS, Completer, Completion, Floats, ScoreTable

STEPS = 60


@dataclass(frozen=True)
class AdditiveFit:
    """Effects and variances of a row + column model; `row_uncertainty` and `column_uncertainty` are posterior variances."""

    mean: float
    rows: Floats
    columns: Floats
    row_variance: float
    column_variance: float
    noise_variance: float
    row_uncertainty: Floats
    column_uncertainty: Floats

    def cells(self) -> Floats:
        """μ + a_i + c_j, (n_rows, n_columns), not clipped."""
        return self.mean + self.rows[:, None] + self.columns

    def spread(self) -> Floats:
        """Standard deviation of each cell, (n_rows, n_columns)."""
        return np.sqrt(self.noise_variance + (self.row_uncertainty[:, None] + self.column_uncertainty))


def fit_additive(values: Floats) -> AdditiveFit:
    """Fits the row + column model to the finite cells of `values` (n_rows, n_columns)."""
    observed = np.isfinite(values)
    known = np.where(observed, values, 0.0)
    row_counts, column_counts = observed.sum(axis=1), observed.sum(axis=0)
    total = int(row_counts.sum())
    mean = float(known.sum() / total)
    rows, columns = np.zeros(len(values)), np.zeros(values.shape[1])
    floor = score_table.SMALLEST_SPREAD**2
    variance = max(float(np.square(known - mean)[observed].mean()), floor)
    row_variance = column_variance = noise = variance / 3
    row_left = column_left = np.zeros(1)
    for _ in range(STEPS):
        rows, row_left = _shrunk(known - observed * (mean + columns), row_counts, row_variance, noise)
        columns, column_left = _shrunk(
            (known - observed * (mean + rows[:, None])).T, column_counts, column_variance, noise
        )
        residual = known - observed * (mean + rows[:, None] + columns)
        mean += float(residual.sum() / total)
        row_variance = max(float(np.mean(np.square(rows) + row_left)), floor)
        column_variance = max(float(np.mean(np.square(columns) + column_left)), floor)
        uncertain = float(row_counts @ row_left + column_counts @ column_left) / total
        noise = max(float(np.square(residual).sum() / total) + uncertain, floor)
    return AdditiveFit(mean, rows, columns, row_variance, column_variance, noise, row_left, column_left)


def _shrunk(residual: Floats, counts: Floats, variance: float, noise: float) -> tuple[Floats, Floats]:
    """Posterior mean and variance of each row's effect from its residuals (0 where not observed)."""
    precision = counts / noise + 1 / variance
    return residual.sum(axis=1) / noise / precision, 1 / precision


def without_biases(table: ScoreTable) -> tuple[Scale, AdditiveFit, Floats]:
    """The logit scale of the table, its row + column biases there, and what they leave, NaN where not measured."""
    scale = Scale.fitted("logit", table.values)
    modelled = scale.forward(table.values)
    additive = fit_additive(modelled)
    return scale, additive, modelled - additive.cells()


@COMPLETERS.register("additive")
class RowPlusColumn(Completer):
    """Row + column bias, shrunk by empirical Bayes."""

    def fit(self, table: ScoreTable, seed: int = 0) -> Completion:
        """See `Completer.fit`; the shrinkage is estimated, nothing is random."""
        fitted = fit_additive(table.values)
        return Completion(fitted.cells(), fitted.spread())
