"""A fitted table, and the fold-in of a new row for completers without a rule of their own.

Completed rows are taken as draws from a normal distribution; a new row is that distribution conditioned on its few
measured cells. The covariance is shrunk towards its diagonal, so that it stays invertible with fewer rows than columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from lib.performance_prediction.table.score_table import Completion, Floats, HeldOut

SHRINKAGE_ROWS = 5.0  # so many rows' worth of belief in independent columns
SMALLEST_SPREAD = 1e-4


@dataclass
class TableCompletion(Completion):
    """A completion held as two arrays."""

    mean: Floats
    spread: Floats
    held_out: HeldOut | None = None

    def __post_init__(self) -> None:
        self.mean = np.clip(self.mean, 0.0, 1.0)
        self.spread = np.maximum(self.spread, SMALLEST_SPREAD)

    def fold_in(self, values: Floats, features: pd.DataFrame | None = None) -> tuple[Floats, Floats]:
        """See `Completion.fold_in`; `features` are not used."""
        return condition_on_cells(self.mean, self.spread, values)


def condition_on_cells(rows: Floats, spread: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation (n_columns,) of a new row given its measured `values` and completed `rows` (n, n_columns).

    `spread` (n, n_columns) is how uncertain each completed cell is: its mean square is added as noise of the column.
    """
    count = len(rows)
    centre = rows.mean(axis=0)
    deviation = rows - centre
    keep = count / (count + SHRINKAGE_ROWS)
    noise = np.square(spread).mean(axis=0)
    variance = np.square(deviation).mean(axis=0) + noise
    seen = np.flatnonzero(np.isfinite(values))
    if seen.size == 0:
        return np.clip(centre, 0.0, 1.0), np.maximum(np.sqrt(variance), SMALLEST_SPREAD)
    towards_seen = keep * deviation.T @ deviation[:, seen] / count
    among_seen = towards_seen[seen] + np.diag(
        variance[seen] - np.diag(towards_seen[seen]) + SMALLEST_SPREAD**2
    )
    gain = np.linalg.solve(among_seen, towards_seen.T)
    mean = centre + gain.T @ (values[seen] - centre[seen])
    left = variance - np.einsum("sc,sc->c", gain, towards_seen.T)
    return np.clip(mean, 0.0, 1.0), np.sqrt(np.maximum(left, np.maximum(noise, SMALLEST_SPREAD**2)))
