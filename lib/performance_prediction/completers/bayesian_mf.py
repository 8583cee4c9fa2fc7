"""Bayesian matrix factorisation with side information, averaged over a Gibbs chain (see `gibbs`)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from lib.performance_prediction.als.fold_in import SMALLEST_SPREAD
from lib.performance_prediction.completers.gibbs import Draw, GibbsSettings, sample
from lib.performance_prediction.table.hold_out import best_candidate
from lib.performance_prediction.table.score_scale import ScaleName, ScoreScale
from lib.performance_prediction.table.score_table import COMPLETERS, Completer, Completion, Floats, ScoreTable
from lib.performance_prediction.table.side_information import SideEncoder, side_coordinates

SMALLEST_RANK, LARGEST_RANK = 20, 60
RANK_PER_CELL = 0.6  # factors a side for each measured cell a row-and-column has
SWEEP_BUDGET_S = 0.09  # a sweep's estimated time, beyond which the rank is lowered
QUICK_SWEEP_S = 0.002  # below it a longer chain costs next to nothing, and takes about 2 % off the error
LONG_CHAIN, SHORT_CHAIN = 360, 120  # draws kept
DRAWS_FOR_NEW_ROWS = 16
CHOICE_RANK = 10


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

    def of_half_rank(self) -> BayesianMf:
        """The same model with half the factors: better where cells are fewer than they seem."""
        return replace(self, rank=max((self.rank or SMALLEST_RANK) // 2, 1))

    def on_other_scale(self) -> BayesianMf:
        """The same model on the scale that was not chosen."""
        return replace(self, scale="identity" if self.scale == "logit" else "logit")

    def fit(self, table: ScoreTable, seed: int = 0) -> Completion:
        """See `Completer.fit`."""
        settings = self.tuned(table, seed)
        assert settings.scale is not None
        scale = ScoreScale.fit(settings.scale, table.values)
        rows, encoder = _side(table.rows, table.row_features)
        columns, _ = _side(table.columns, table.column_features)
        rank = min(settings.rank or affordable_rank(table), max(min(table.values.shape) - 1, 1))
        quick = _sweep_seconds(len(table.rows), len(table.columns), rank) < QUICK_SWEEP_S
        kept = settings.kept or (LONG_CHAIN if quick else SHORT_CHAIN)
        posterior = _Posterior(scale, encoder, kept, table.values.shape)
        chain = GibbsSettings(rank, settings.burn_in, kept)
        sample(scale.forward(table.values), rows, columns, chain, seed, posterior.add)
        return posterior.completion()


COMPLETERS.register("bayesian_mf")(BayesianMf)


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


def _side(names: tuple[str, ...], features: pd.DataFrame | None) -> tuple[Floats, SideEncoder | None]:
    known = side_coordinates(names, features)
    return known if known else (np.zeros((len(names), 0)), None)


class BayesianCompletion(Completion):
    """Posterior mean and predictive standard deviation, with some draws kept to fold in new rows."""

    def __init__(
        self, mean: Floats, spread: Floats, scale: ScoreScale, encoder: SideEncoder | None, draws: list[Draw]
    ) -> None:
        self.mean = mean
        self.spread = spread
        self.scale = scale
        self.encoder = encoder
        self.draws = draws

    def fold_in(self, values: Floats, features: pd.DataFrame | None = None) -> tuple[Floats, Floats]:
        """See `Completion.fold_in`: the row's weights are integrated out given each kept draw of the columns."""
        side = self.encoder.encode(features)[0] if self.encoder else np.zeros(0)
        told = [_condition(draw, self.scale.forward(values), side) for draw in self.draws]
        means = np.array([mean for mean, _ in told])
        variance = np.array([variance for _, variance in told]).mean(axis=0) + means.var(axis=0)
        mean = self.scale.backward(means).mean(axis=0)
        spread = np.sqrt(variance) * self.scale.slope(mean)
        return mean, np.maximum(spread, SMALLEST_SPREAD)


def _condition(draw: Draw, values: Floats, side: Floats) -> tuple[Floats, Floats]:
    """Mean and variance (n_columns,) of a new row on the modelled scale, given one draw of everything but the row."""
    columns = draw.column_weights
    design = np.concatenate([columns[:, :-1], np.ones((len(columns), 1))], axis=1)
    seen = np.isfinite(values)
    weights = draw.noise_precision * draw.column_noise[seen]
    prior = draw.row_mean + (side @ draw.row_side if len(side) else 0.0)
    posterior = draw.row_precision + (design[seen].T * weights) @ design[seen]
    target = draw.row_precision @ prior + design[seen].T @ (weights * (values[seen] - columns[seen, -1]))
    covariance = np.linalg.inv(posterior)
    mean = design @ (covariance @ target) + columns[:, -1]
    variance = np.einsum("ck,kl,cl->c", design, covariance, design, optimize=True)
    return mean, variance + 1 / (draw.noise_precision * draw.column_noise)


class _Posterior:
    """Running sums over the chain, on the scale of the scores."""

    def __init__(
        self, scale: ScoreScale, encoder: SideEncoder | None, expected: int, shape: tuple[int, ...]
    ) -> None:
        self.scale = scale
        self.encoder = encoder
        self.every = max(1, expected // DRAWS_FOR_NEW_ROWS)
        self.sum = np.zeros(shape)
        self.squares = np.zeros(shape)
        self.noise = np.zeros(shape)
        self.count = 0
        self.draws: list[Draw] = []

    def add(self, draw: Draw) -> None:
        scores = self.scale.backward(draw.cells())
        self.sum += scores
        self.squares += np.square(scores)
        self.noise += draw.noise_variance()
        if self.count % self.every == 0:
            self.draws.append(draw)
        self.count += 1

    def completion(self) -> BayesianCompletion:
        mean = self.sum / self.count
        between = np.maximum(self.squares / self.count - np.square(mean), 0.0)
        noise = self.noise / self.count * np.square(self.scale.slope(mean))
        spread = np.maximum(np.sqrt(between + noise), SMALLEST_SPREAD)
        return BayesianCompletion(mean, spread, self.scale, self.encoder, self.draws)
