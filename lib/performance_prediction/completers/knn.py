"""Nearest neighbours, on both sides: a cell from the rows (and the columns) that scored alike where both were measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lib.performance_prediction.completers.additive import without_biases
from lib.performance_prediction.table.hold_out import best_candidate
from lib.performance_prediction.table.score_table import COMPLETERS, Completer, Completion, Floats, ScoreTable

NEIGHBOURS = (3, 6, 12, 25)
CONSIDERED = 150  # nearest neighbours looked through for ones that measured the column
SHRINKAGE = 3.0  # cells in common below which a distance is drawn to the typical one


@COMPLETERS.register("knn")
@dataclass(frozen=True)
class NearestNeighbours(Completer):
    """Weighted mean of the nearest rows' and the nearest columns' residuals over row + column bias, on the logit scale."""

    neighbours: int | None = None

    def tuned(self, table: ScoreTable, seed: int = 0) -> NearestNeighbours:
        """See `Completer.tuned`: fixes the number of neighbours."""
        if self.neighbours is not None:
            return self
        candidates = [NearestNeighbours(count) for count in NEIGHBOURS]
        return candidates[best_candidate(table, candidates, seed)]

    def fit(self, table: ScoreTable, seed: int = 0) -> Completion:
        count = self.tuned(table, seed).neighbours
        assert count is not None
        scale, additive, residual = without_biases(table)
        by_row, row_error = from_neighbours(residual, count)
        by_column, column_error = (told.T for told in from_neighbours(residual.T, count))
        weight = column_error / (row_error + column_error)
        mean = scale.backward(additive.cells() + (weight * by_row + (1 - weight) * by_column))
        spread = np.sqrt(weight * row_error + (1 - weight) * column_error)
        return Completion(mean, spread * scale.slope(mean))


def from_neighbours(residual: Floats, count: int) -> tuple[Floats, Floats]:
    """Residual and its error variance, each (n_rows, n_columns), from the `count` nearest rows that measured the column.

    `residual`: NaN where not measured. A neighbour weighs 1 / its squared distance; a cell's error variance is the weighted
    mean squared distance, which is what a neighbour's own residual would be off by.
    """
    observed = np.isfinite(residual)
    known = np.where(observed, residual, 0.0)
    distance = squared_distances(known, observed)
    order = np.argsort(distance, axis=1, kind="stable")[:, : CONSIDERED + 1]
    typical = float(np.square(known).sum() / max(observed.sum(), 1)) + 1e-8
    guess, error = np.zeros_like(known), np.full_like(known, typical)
    for row, near in enumerate(order):
        near = near[near != row]
        if near.size == 0:
            continue
        used = observed[near] & (np.cumsum(observed[near], axis=0) <= count)
        weight = used / distance[row, near, None]
        total = weight.sum(axis=0)
        prior = 1.0 / (2 * typical)  # the row + column bias itself, as one neighbour at the typical distance
        guess[row] = (weight * known[near]).sum(axis=0) / (total + prior)
        error[row] = ((weight > 0).sum(axis=0) + 1) / (total + prior)
    return guess, error


def squared_distances(known: Floats, observed: Floats) -> Floats:
    """Mean squared difference of each two rows over their common cells, (n_rows, n_rows), shrunk when few are common."""
    weights = observed.astype(float)
    squares = np.square(known) @ weights.T
    common = weights @ weights.T
    total = np.maximum(squares + squares.T - 2 * known @ known.T, 0.0)
    typical = 2 * float(np.square(known).sum() / max(weights.sum(), 1)) + 1e-8
    distance = (total + SHRINKAGE * typical) / (common + SHRINKAGE) + 1e-3 * typical
    np.fill_diagonal(distance, np.inf)
    return distance
