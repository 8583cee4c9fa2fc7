"""Gibbs sampler of a Bayesian matrix factorisation whose rows and columns have their own noise and side information.

y_ij = x_i·z_j + b_i + c_j + e_ij,  e_ij ~ Normal(0, 1 / (τ α_i β_j λ_ij)).
Factors and biases of a side are normal around μ + (side coordinates) B with a Wishart precision (Salakhutdinov & Mnih
2008, "Bayesian probabilistic matrix factorization using MCMC"; the prior mean from side information is Macau's, Simm
et al. 2015). α, β, λ are Gamma: rows and columns differ in how noisy they are, and λ makes the noise a Student's t.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from lib.performance_prediction.table.score_table import Bools, Floats

PRIOR_STRENGTH = 2.0  # pseudo-observations of the factors' mean
NOISE_SHAPE = 3.0  # how alike the noise of rows (of columns) is thought to be before seeing them
STUDENT_FREEDOM = 4.0
FIRST_SCALE = 0.3  # standard deviation of the first, random factors
FACTOR_VARIANCE = 0.01
FIRST_RIDGE = 5.0  # of the weights of side information
SINGLE_PRECISION_FROM_CELLS = 200_000
SINGLE_PRECISION_RIDGE = 1e-5  # relative: keeps sums of rounded products positive definite


class Draw(NamedTuple):
    """One draw from the posterior, on the modelled scale.

    `row_weights` (n_rows, rank + 1): factors then bias, `column_weights` (n_columns, rank + 1) likewise; `noise_precision` τ,
    `row_noise` α, `column_noise` β.
    """

    row_weights: Floats
    column_weights: Floats
    noise_precision: float
    row_noise: Floats
    column_noise: Floats

    def cells(self) -> Floats:
        """Noise-free value of each cell, (n_rows, n_columns)."""
        product = self.row_weights[:, :-1] @ self.column_weights[:, :-1].T
        return product + self.row_weights[:, -1:] + self.column_weights[:, -1]

    def noise_variance(self) -> Floats:
        """Variance of the noise of each cell, (n_rows, n_columns)."""
        return 1.0 / (self.noise_precision * self.row_noise[:, None] * self.column_noise)


def sample(
    values: Floats, row_side: Floats, column_side: Floats, rank: int, burn_in: int, kept: int, seed: int
) -> Iterator[Draw]:
    """The `kept` draws after `burn_in` of a chain on `values` (n_rows, n_columns), NaN where unknown, standardised.

    `row_side` (n_rows, p) and `column_side` (n_columns, q) are side coordinates; p or q may be 0.
    """
    rng = np.random.default_rng(seed)
    observed = np.isfinite(values)
    precision: Any = np.float32 if values.size > SINGLE_PRECISION_FROM_CELLS else np.float64
    known = np.where(observed, values, 0.0).astype(precision)
    rows, columns = _Side(rank, row_side, rng), _Side(rank, column_side, rng)
    noise = _Noise(observed, precision)
    for step in range(burn_in + kept):
        weights = noise.weights()
        rows.update(weights, known, columns.weights, rng)
        columns.update(weights.T, known.T, rows.weights, rng)
        fitted = (rows.weights[:, :-1] @ columns.weights[:, :-1].T).astype(precision)
        fitted += rows.weights[:, -1:].astype(precision) + columns.weights[:, -1].astype(precision)
        noise.update(np.square(known - fitted) * noise.observed, rng)
        if step >= burn_in:
            yield Draw(rows.weights, columns.weights, noise.tau, noise.row, noise.column)


class _Side:
    """Weights of the rows (or the columns) and their prior; `side`: (n, p) side coordinates."""

    def __init__(self, rank: int, side: Floats, rng: np.random.Generator) -> None:
        width = rank + 1
        self.weights = FIRST_SCALE * rng.standard_normal((len(side), width))
        self.weights[:, -1] = 0.0
        self.side, self.side_gram, self.side_ridge = side, side.T @ side, FIRST_RIDGE
        self.side_weights = np.zeros((side.shape[1], width))
        self.mean, self.precision = np.zeros(width), np.eye(width) / FIRST_SCALE**2

    def update(self, weights: Floats, known: Floats, other: Floats, rng: np.random.Generator) -> None:
        self._draw_prior(rng)
        if self.side.shape[1]:
            self._draw_side_weights(rng)
        self._draw_weights(weights, known, other, rng)

    def _draw_prior(self, rng: np.random.Generator) -> None:
        """Normal–Wishart posterior of the factors' mean and precision (Salakhutdinov & Mnih 2008, eq. 14)."""
        count, width = self.weights.shape
        rest = self.weights - self.side @ self.side_weights
        centre = rest.mean(axis=0)
        deviation = rest - centre
        scatter = deviation.T @ deviation + FACTOR_VARIANCE * (width + 1) * np.eye(width)
        scatter += PRIOR_STRENGTH * count / (PRIOR_STRENGTH + count) * np.outer(centre, centre)
        scatter += self.side_ridge * self.side_weights.T @ self.side_weights
        freedom = width + 1 + count + len(self.side_weights)
        self.precision = _wishart(freedom, np.linalg.inv(scatter), rng)
        spread = np.linalg.cholesky(np.linalg.inv(self.precision * (PRIOR_STRENGTH + count)))
        self.mean = count * centre / (PRIOR_STRENGTH + count) + spread @ rng.standard_normal(width)

    def _draw_side_weights(self, rng: np.random.Generator) -> None:
        """Matrix-normal posterior of B and Gamma posterior of its ridge (Simm et al. 2015)."""
        size, width = self.side_weights.shape
        covariance = np.linalg.inv(self.side_gram + self.side_ridge * np.eye(size))
        centre = covariance @ (self.side.T @ (self.weights - self.mean))
        right = np.linalg.cholesky(np.linalg.inv(self.precision))
        noise = np.linalg.cholesky(covariance) @ rng.standard_normal((size, width)) @ right.T
        self.side_weights = centre + noise
        energy = np.einsum("sk,kl,sl->", self.side_weights, self.precision, self.side_weights)
        self.side_ridge = float(rng.gamma(1 + size * width / 2, 1 / (1 + energy / 2)))

    def _draw_weights(self, weights: Floats, known: Floats, other: Floats, rng: np.random.Generator) -> None:
        """Normal posterior of each row's weights: Λ_i = Λ + Σ w z zᵀ, with z = [factor, 1] of the other side."""
        kind = weights.dtype
        design = np.concatenate([other[:, :-1], np.ones((len(other), 1))], axis=1)
        width = design.shape[1]
        left, right = np.triu_indices(width)
        products = weights @ (design[:, left] * design[:, right]).astype(kind)
        posterior = np.empty((len(weights), width, width))
        posterior[:, left, right] = posterior[:, right, left] = products
        if kind == np.float32:
            posterior[:, range(width), range(width)] *= 1 + SINGLE_PRECISION_RIDGE
        posterior += self.precision
        target = (weights * (known - other[:, -1].astype(kind))) @ design.astype(kind)
        target = target + (self.mean + self.side @ self.side_weights) @ self.precision
        self.weights = _draw_normals(posterior, target, rng)


class _Noise:
    """Precisions of the noise: `tau` of all, `row` α, `column` β, `cell` λ; `observed`: 1 where measured, else 0."""

    def __init__(self, observed: Bools, precision: Any) -> None:
        self.observed, self.cell = observed.astype(precision), observed.astype(precision)
        self.row, self.column = (np.ones(size) for size in observed.shape)
        self.tau = 10.0

    def weights(self) -> Floats:
        return self.observed * self.cell * self._scale() * self.column.astype(self.cell.dtype)

    def _scale(self) -> Floats:
        return (self.tau * self.row[:, None]).astype(self.cell.dtype)

    def update(self, squared: Floats, rng: np.random.Generator) -> None:
        """Gamma posteriors given the squared residuals (0 where not observed)."""
        weighted, kind = squared * self.cell, squared.dtype
        by_row, by_column = (self.observed.sum(axis=axis, dtype=float) for axis in (1, 0))
        energy = float(self.row @ (weighted @ self.column))
        self.tau = rng.gamma(1 + by_row.sum() / 2, 1 / (1e-3 + energy / 2))
        rate = NOISE_SHAPE + self.tau * (weighted @ self.column) / 2
        self.row = rng.gamma(NOISE_SHAPE + by_row / 2, 1 / rate)
        rate = NOISE_SHAPE + self.tau * (self.row @ weighted) / 2
        self.column = rng.gamma(NOISE_SHAPE + by_column / 2, 1 / rate)
        rate = STUDENT_FREEDOM + squared * self._scale() * self.column.astype(kind)
        self.cell = rng.standard_gamma((STUDENT_FREEDOM + 1) / 2, squared.shape, dtype=kind) * 2 / rate


def _wishart(freedom: float, scale: Floats, rng: np.random.Generator) -> Floats:
    """A draw by Bartlett's decomposition."""
    width = len(scale)
    triangle = np.tril(rng.standard_normal((width, width)), -1)
    triangle[np.diag_indices(width)] = np.sqrt(rng.chisquare(freedom - np.arange(width)))
    root = np.linalg.cholesky((scale + scale.T) / 2) @ triangle
    return root @ root.T


def _draw_normals(precision: Floats, target: Floats, rng: np.random.Generator) -> Floats:
    """One draw a row from Normal(P⁻¹t, P⁻¹): P⁻¹(t + Lε) has covariance P⁻¹LLᵀP⁻¹ = P⁻¹."""
    root = np.linalg.cholesky(precision)
    noise = np.einsum("nkl,nl->nk", root, rng.standard_normal(target.shape))
    return np.linalg.solve(precision, (target + noise)[:, :, None])[:, :, 0]
