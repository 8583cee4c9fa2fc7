"""The simplest rivals: one number for all cells, and one number a column."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lib.performance_prediction.als.fold_in import SMALLEST_SPREAD, TableCompletion
from lib.performance_prediction.table.score_table import COMPLETERS, Completer, Completion, Floats, ScoreTable


class ConstantRows(TableCompletion):
    """A completion in which every row is the same: new rows too, whatever was measured in them."""

    def fold_in(self, values: Floats, features: pd.DataFrame | None = None) -> tuple[Floats, Floats]:
        """See `Completion.fold_in`."""
        return self.mean[0].copy(), self.spread[0].copy()


@COMPLETERS.register("global_mean")
class GlobalMean(Completer):
    """Says the mean of all measured cells."""

    def fit(self, table: ScoreTable, seed: int = 0) -> Completion:
        """See `Completer.fit`; nothing to choose."""
        measured = table.values[table.observed]
        shape = table.values.shape
        return ConstantRows(
            np.full(shape, measured.mean()), np.full(shape, max(measured.std(), SMALLEST_SPREAD))
        )


@COMPLETERS.register("column_mean")
class ColumnMean(Completer):
    """Says the mean of the column's measured cells; the global mean where there are none."""

    def fit(self, table: ScoreTable, seed: int = 0) -> Completion:
        """See `Completer.fit`; nothing to choose."""
        observed = table.observed
        known = np.where(observed, table.values, 0.0)
        measured = table.values[observed]
        counts = observed.sum(axis=0)
        mean = np.where(counts > 0, known.sum(axis=0) / np.maximum(counts, 1), measured.mean())
        squares = np.where(observed, np.square(table.values - mean), 0.0).sum(axis=0)
        # one pseudo-cell with the global variance: a column with a single cell has no spread of its own
        spread = np.sqrt((squares + measured.var()) / np.maximum(counts, 1) * (1 + 1 / np.maximum(counts, 1)))
        return ConstantRows(np.tile(mean, (len(known), 1)), np.tile(spread, (len(known), 1)))
