"""The simplest rivals: one number for all cells, and one number a column."""

from __future__ import annotations

import numpy as np

from lib.performance_prediction.table.score_table import COMPLETERS, Completer, Completion, Floats, ScoreTable


def column_means(values: Floats) -> Floats:
    """Mean of each column's measured cells (n_columns,), that of all cells where a column has none."""
    observed = np.isfinite(values)
    sums, counts = np.where(observed, values, 0.0).sum(axis=0), observed.sum(axis=0)
    return np.where(counts > 0, sums / np.maximum(counts, 1), values[observed].mean())


@COMPLETERS.register("global_mean")
class GlobalMean(Completer):
    """Says the mean of all measured cells."""

    def fit(self, table: ScoreTable, seed: int = 0) -> Completion:
        measured, shape = table.values[table.observed], table.values.shape
        return Completion(np.full(shape, measured.mean()), np.full(shape, measured.std()))


@COMPLETERS.register("column_mean")
class MeanOfColumn(Completer):
    """Says the mean of the column's measured cells; the global mean where there are none."""

    def fit(self, table: ScoreTable, seed: int = 0) -> Completion:
        mean = column_means(table.values)
        squares = np.nansum(np.square(table.values - mean), axis=0)
        counts = np.maximum(table.observed.sum(axis=0), 1)
        # one pseudo-cell with the global variance: a column with a single cell has no spread of its own
        spread = np.sqrt((squares + np.nanvar(table.values)) / counts * (1 + 1 / counts))
        rows = len(table.values)
        return Completion(np.tile(mean, (rows, 1)), np.tile(spread, (rows, 1)))
