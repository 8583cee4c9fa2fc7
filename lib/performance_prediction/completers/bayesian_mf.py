"""Bayesian matrix factorisation with side information, averaged over a Gibbs chain (see `gibbs`)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lib.performance_prediction.completers.gibbs import sample
from lib.performance_prediction.table.hold_out import best_candidate
from lib.performance_prediction.table.scales import Scale, ScaleName
from lib.performance_prediction.table.score_table import COMPLETERS, Completer, Completion, ScoreTable
from lib.performance_prediction.table.side_information import side_coordinates

SMALLEST_RANK, LARGEST_RANK = 20, 60
RANK_PER_CELL = 0.6  # factors a side for each measured cell a row-and-column has
SWEEP_BUDGET_S = 0.09  # a sweep's estimated time, beyond which the rank is lowered
QUICK_SWEEP_S = 0.002  # below it a longer chain costs next to nothing, and takes about 2 % off the error
LONG_CHAIN, SHORT_CHAIN = 360, 120  # draws kept
CHOICE_RANK = 10


@COMPLETERS.register("bayesian_mf")
@dataclass(frozen=True)
class BayesianMf(Completer):
    """Chooses the scale (logit or identity) on hidden cells; the rank follows from how many cells there are."""

    scale: ScaleName | None = None
    rank: int | None = None
    burn_in: int = 60
    kept: int | None = None

    def tuned(self, table: ScoreTable, seed: int = 0) -> BayesianMf:
        """See `Completer.tuned`: fixes the scale by short chains on hidden cells."""
        if self.scale is not None:
            return self
        scales: tuple[ScaleName, ...] = ("logit", "identity")
        rank = min(CHOICE_RANK, affordable_rank(table))
        short = [replace(self, scale=scale, rank=rank, burn_in=30, kept=30) for scale in scales]
        best = best_candidate(table, short, seed)
        return replace(self, scale=scales[best], rank=self.rank or affordable_rank(table))

    def shortened(self) -> BayesianMf:
        """The same model with half the chain: for the many fits of cross-validation."""
        return replace(self, burn_in=self.burn_in * 2 // 3, kept=SHORT_CHAIN // 2)

    def fit(self, table: ScoreTable, seed: int = 0) -> Completion:
        settings = self.tuned(table, seed)
        assert settings.scale is not None
        scale = Scale.fitted(settings.scale, table.values)
        sides = (
            side_coordinates(table.rows, table.row_features),
            side_coordinates(table.columns, table.column_features),
        )
        n_rows, n_columns = table.values.shape
        rank = min(settings.rank or affordable_rank(table), max(min(n_rows, n_columns) - 1, 1))
        quick = _sweep_seconds(n_rows, n_columns, rank) < QUICK_SWEEP_S
        kept = settings.kept or (LONG_CHAIN if quick else SHORT_CHAIN)
        scores, squares, noise = np.zeros((3, n_rows, n_columns))
        for draw in sample(scale.forward(table.values), *sides, rank, settings.burn_in, kept, seed):
            told = scale.backward(draw.cells())
            scores += told
            squares += np.square(told)
            noise += draw.noise_variance()
        mean = scores / kept
        between = np.maximum(squares / kept - np.square(mean), 0.0)
        return Completion(mean, np.sqrt(between + noise / kept * np.square(scale.slope(mean))))


def affordable_rank(table: ScoreTable) -> int:
    """Rank that the number of measured cells supports, lowered until a sweep of the chain is affordable."""
    n_rows, n_columns = table.values.shape
    supported = RANK_PER_CELL * int(table.observed.sum()) / (n_rows + n_columns)
    rank = int(np.clip(round(supported), SMALLEST_RANK, LARGEST_RANK))
    while rank > 6 and _sweep_seconds(n_rows, n_columns, rank) > SWEEP_BUDGET_S:
        rank -= 1
    return min(rank, max(min(n_rows, n_columns) - 1, 1))


def _sweep_seconds(n_rows: int, n_columns: int, rank: int) -> float:
    """Estimate from measurements on one core: products over the cells, and a factorisation for each row and column."""
    return 1e-10 * n_rows * n_columns * rank**2 + 2e-10 * (n_rows + n_columns) * rank**3
