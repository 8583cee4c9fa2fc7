"""Explicit ALS with biases: q ≈ μ + b_row + c_col + x_row·y_col over the observed cells only, each side in closed form.

With one side fixed, each row is a ridge regression of its scores (less μ and c) on z_col = [y_col, 1]:
w_row = [x_row, b_row] = (Σ z zᵀ + λI)⁻¹ Σ z (q − μ − c), summed over the row's observed cells; then the sides change
places (Zhou et al. 2008, "Large-scale parallel collaborative filtering for the Netflix prize", with biases).

Where side information s of a side is given, λ draws its weights not to zero but to Gᵀs, what a ridge regression of the side's
weights on s says of them: a column of few cells leans on its relatives, one of none is what they say (Agarwal and Chen 2009,
"Regression-based latent factor models").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lib.errors import MatrixError
from lib.performance_prediction.table.scales import Scale
from lib.performance_prediction.table.score_table import SMALLEST_SPREAD, Bools, Floats

SINGLE_PRECISION_FROM_CELLS = 500_000  # from here memory traffic decides the speed, and rounding is no matter

SIDE_PENALTY = (
    0.1  # of the regression on side information; a tenth or ten times as much changes held-out errors by 2 %
)

OnSweep = Callable[[int, float], None]


@dataclass(frozen=True)
class AlsModel:
    """Factors and biases of a fitted ALS.

    `row_factors` (n_rows, rank), `column_factors` (n_columns, rank), `row_biases` (n_rows,), `column_biases`
    (n_columns,), `mean` μ; `losses`: root mean squared error on the observed cells after each sweep; `noise`: residual
    standard deviation on the observed cells, corrected for the fitted degrees of freedom.
    """

    mean: float
    row_factors: Floats
    column_factors: Floats
    row_biases: Floats
    column_biases: Floats
    regularisation: float
    losses: tuple[float, ...]
    noise: float

    @property
    def rank(self) -> int:
        """Length of a factor."""
        return self.row_factors.shape[1]

    def predict(self) -> Floats:
        """What the model says of every cell, (n_rows, n_columns), not clipped."""
        biases = self.mean + self.row_biases[:, None] + self.column_biases
        return biases + self.row_factors @ self.column_factors.T

    def spread(self, observed: Bools) -> Floats:
        """Standard deviation of each cell, (n_rows, n_columns): noise and the uncertainty of the row's and column's weights.

        `observed`: bool array (n_rows, n_columns), the cells the model was fitted on.
        """
        rows = _leverage(observed, self.column_factors, self.regularisation)
        columns = _leverage(observed.T, self.row_factors, self.regularisation).T
        return self.noise * np.sqrt(1.0 + rows + columns)

    def on_scale(self, scale: Scale) -> AlsModel:
        """A model of scores on an affine `scale`, as one of the scores themselves."""
        root = np.sqrt(scale.unit)
        return AlsModel(
            mean=scale.centre + scale.unit * self.mean,
            row_factors=root * self.row_factors,
            column_factors=root * self.column_factors,
            row_biases=scale.unit * self.row_biases,
            column_biases=scale.unit * self.column_biases,
            regularisation=self.regularisation,
            losses=tuple(scale.unit * loss for loss in self.losses),
            noise=scale.unit * self.noise,
        )


def supported_rank(values: Floats) -> int:
    """The highest rank whose weights are not more than the measured cells: (n_rows + n_columns)(rank + 1) ≤ cells."""
    cells = int(np.isfinite(values).sum())
    return max(0, min(cells // sum(values.shape) - 1, min(values.shape) - 1))


def fit_als(
    values: Floats,
    rank: int = 3,
    regularisation: float = 0.1,
    sweeps: int = 20,
    seed: int = 0,
    on_sweep: OnSweep | None = None,
    row_side: Floats | None = None,
    column_side: Floats | None = None,
) -> AlsModel:
    """Explicit ALS on the observed cells of `values` (n_rows, n_columns), NaN where nothing is known; `row_side` (n_rows, n),
    `column_side` (n_columns, m): side information.

    `regularisation` λ > 0 penalises squared factors and biases. `on_sweep(sweep, rmse)` is called after each of the `sweeps`.
    Raises MatrixError when no cell is observed.
    """
    observed = np.isfinite(values)
    count = int(observed.sum())
    if count == 0:
        raise MatrixError("the table holds no measured cell: measure at least one score first")
    precision: Any = np.float32 if values.size > SINGLE_PRECISION_FROM_CELLS else np.float64
    mean = float(np.nanmean(values))
    centred = np.where(observed, values - mean, 0.0).astype(precision)
    cells = observed.astype(precision), centred, float(np.sum(np.square(centred), dtype=np.float64))
    rng = np.random.default_rng(seed)
    n_rows, n_columns = values.shape
    column_weights = np.concatenate(
        [0.1 * rng.standard_normal((n_columns, rank)), np.zeros((n_columns, 1))], 1
    )
    row_weights, said_of_row, said_of_column = (
        np.zeros((n_rows, rank + 1)),
        _told_by(row_side),
        _told_by(column_side),
    )
    losses: list[float] = []
    for sweep in range(1, sweeps + 1):
        prior = said_of_row(row_weights)
        row_weights, _ = _solve_side(*cells, column_weights, regularisation, prior)
        prior = said_of_column(column_weights)
        turned = cells[0].T, centred.T, cells[2]
        column_weights, squared_error = _solve_side(*turned, row_weights, regularisation, prior)
        losses.append(float(np.sqrt(max(squared_error, 0.0) / count)))
        if on_sweep:
            on_sweep(sweep, losses[-1])
    freedom = max(count - 0.5 * rank * (n_rows + n_columns) - (n_rows + n_columns), 0.25 * count)
    return AlsModel(
        mean=mean,
        row_factors=row_weights[:, :-1],
        column_factors=column_weights[:, :-1],
        row_biases=row_weights[:, -1],
        column_biases=column_weights[:, -1],
        regularisation=regularisation,
        losses=tuple(losses),
        noise=max(losses[-1] * float(np.sqrt(count / freedom)), SMALLEST_SPREAD),
    )


def _told_by(side: Floats | None) -> Callable[[Floats], Floats]:
    """From weights to what side information says of them: their ridge regression on it, no intercept; zero without any."""
    if side is None:
        return np.zeros_like
    regression = side @ np.linalg.solve(side.T @ side + SIDE_PENALTY * np.eye(side.shape[1]), side.T)
    return lambda weights: np.asarray(regression @ weights)


def _solve_side(
    observed: Any, centred: Any, squared: float, other: Floats, regularisation: float, prior: Floats
) -> tuple[Floats, float]:
    """Closed-form weights [factor, bias] of one side given the `other`, and the squared error on the observed cells.

    `observed`: 1 where measured; `centred`: value − μ there, 0 elsewhere; `squared`: the sum of its squares; `prior`: the
    weights that λ draws to.
    """
    biases, design = other[:, -1], _with_ones(other[:, :-1])
    width, precision = design.shape[1], observed.dtype
    left, right = np.triu_indices(width)
    pairs = design[:, left] * design[:, right]
    products = observed @ np.hstack([pairs, biases[:, None] * design]).astype(precision)
    gram = np.empty((len(observed), width, width))
    gram[:, left, right] = gram[:, right, left] = products[:, : len(left)]
    projected = (centred @ np.hstack([design, biases[:, None]]).astype(precision)).astype(np.float64)
    target = projected[:, :-1] - products[:, len(left) :]
    drawn = (target + regularisation * prior)[:, :, None]
    weights = np.linalg.solve(gram + regularisation * np.eye(width), drawn)[:, :, 0]
    offset_squared = float(np.sum((observed.T @ np.ones(len(observed), precision)) * biases**2))
    explained = 2 * np.sum(weights * target) - np.einsum("nk,nkl,nl->", weights, gram, weights, optimize=True)
    return weights, float(squared - 2 * projected[:, -1].sum() + offset_squared - explained)


def _with_ones(factors: Floats) -> Floats:
    return np.concatenate([factors, np.ones((len(factors), 1))], axis=1)


def _leverage(observed: Bools, factors: Floats, regularisation: float) -> Floats:
    """z_colᵀ (Σ z zᵀ + λI)⁻¹ z_col for each row and column, (n_rows, n_columns)."""
    design = _with_ones(factors)
    width = design.shape[1]
    pairs = (design[:, :, None] * design[:, None, :]).reshape(len(design), -1)
    gram = (observed.astype(float) @ pairs).reshape(-1, width, width) + regularisation * np.eye(width)
    return np.linalg.inv(gram).reshape(len(gram), -1) @ pairs.T
