"""Bayesian matrix factorisation with side information, averaged over a Gibbs chain (see `gibbs`)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lib.performance_prediction.completers.gibbs import Draw, GibbsSettings, sample
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
        """See `Completer.fit`."""
        settings = self.tuned(table, seed)
        assert settings.scale is not None
        scale = Scale.fitted(settings.scale, table.values)
        rows = side_coordinates(table.rows, table.row_features)
        columns = side_coordinates(table.columns, table.column_features)
        rank = min(settings.rank or affordable_rank(table), max(min(table.values.shape) - 1, 1))
        quick = _sweep_seconds(len(table.rows), len(table.columns), rank) < QUICK_SWEEP_S
        kept = settings.kept or (LONG_CHAIN if quick else SHORT_CHAIN)
        posterior = _Posterior(scale, table.values.shape)
        chain = GibbsSettings(rank, settings.burn_in, kept)
        sample(scale.forward(table.values), rows, columns, chain, seed, posterior.add)
        return posterior.completion()


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


class _Posterior:
    """Running sums over the chain, on the scale of the scores."""

    def __init__(self, scale: Scale, shape: tuple[int, ...]) -> None:
        self.scale = scale
        self.sum, self.squares, self.noise = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        self.count = 0

    def add(self, draw: Draw) -> None:
        scores = self.scale.backward(draw.cells())
        self.sum += scores
        self.squares += np.square(scores)
        self.noise += draw.noise_variance()
        self.count += 1

    def completion(self) -> Completion:
        mean = self.sum / self.count
        between = np.maximum(self.squares / self.count - np.square(mean), 0.0)
        noise = self.noise / self.count * np.square(self.scale.slope(mean))
        return Completion(mean, np.sqrt(between + noise))
