"""Tables with holes as whole ones: probabilistic PCA by expectation maximisation, with what it does not know of each cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lib.performance_prediction.table.score_table import Floats

_SWEEPS = 40
_RANKS = (1, 2, 4, 8, 16)
_HIDDEN_SHARE = 0.1
_MEAN_PRECISION = 1.0
# As if so many cells had been seen to miss by this variance (of standardised scores): few cells must not look exact.
_NOISE_CELLS = 10.0
_NOISE_VARIANCE = 0.5


@dataclass(frozen=True)
class FilledTable:
    """`values`: (n_rows, n_columns) without NaN; `variance`: the same shape, 0 where measured."""

    values: Floats
    variance: Floats


def fill_holes(values: Floats, seed: int = 0) -> FilledTable:
    """Expected values of the missing cells under probabilistic PCA (Tipping & Bishop 1999; missing values after Ilin & Raiko 2010).

    `values`: float array (n_rows, n_columns), NaN where not measured, any real scale. The rank is the one that errs least on a
    tenth of the measured cells; a table without holes comes back as it is.
    """
    observed = np.isfinite(values)
    if observed.all():
        return FilledTable(values.copy(), np.zeros_like(values))
    mean, variance = _principal_components(values, _best_rank(values, seed), seed)
    return FilledTable(np.where(observed, values, mean), np.where(observed, 0.0, variance))


def _best_rank(values: Floats, seed: int) -> int:
    cells = np.argwhere(np.isfinite(values))
    ranks = [rank for rank in _RANKS if rank < min(values.shape)] or [1]
    if len(cells) < 20 or len(ranks) == 1:
        return ranks[0]
    chosen = np.random.default_rng(seed).permutation(len(cells))[: max(2, int(_HIDDEN_SHARE * len(cells)))]
    hidden = tuple(cells[chosen].T)
    shown = values.copy()
    shown[hidden] = np.nan
    errors: list[float] = []
    for rank in ranks:
        errors.append(
            float(np.abs(_principal_components(shown, rank, seed)[0][hidden] - values[hidden]).mean())
        )
        if errors[-1] > 1.02 * min(errors):
            break
    return ranks[int(np.argmin(errors))]


def _principal_components(values: Floats, rank: int, seed: int) -> tuple[Floats, Floats]:
    """Mean and variance of every cell: z = W x + c + noise, x ~ N(0, I); column means shrink towards their own mean."""
    observed = np.isfinite(values)
    mask = observed.astype(float)
    centre, size = _moments(values)
    known = np.where(observed, (values - centre) / size, 0.0)
    loadings = np.random.default_rng(seed).normal(0, 0.3, (values.shape[1], rank))
    loadings[:, 0] = 1.0
    means = known.sum(0) / (mask.sum(0) + _MEAN_PRECISION)
    noise = 0.5
    for _ in range(_SWEEPS):
        scores, covariances = _expected_scores(known - mask * means, mask, loadings, noise)
        loadings, means = _maximised(known, mask, scores, covariances, noise)
        spread = np.einsum("nab,ja,jb->nj", covariances, loadings, loadings, optimize=True)
        errors = mask * (known - scores @ loadings.T - means) ** 2 + mask * spread
        noise = float((errors.sum() + _NOISE_CELLS * _NOISE_VARIANCE) / (mask.sum() + _NOISE_CELLS))
    return centre + size * (scores @ loadings.T + means), size**2 * (spread + noise)


def _moments(values: Floats) -> tuple[float, float]:
    if not np.isfinite(values).any():
        return 0.5, 1.0
    spread = float(np.nanstd(values))
    return float(np.nanmean(values)), spread if spread > 0 else 1.0


def _expected_scores(
    residuals: Floats, mask: Floats, loadings: Floats, noise: float
) -> tuple[Floats, Floats]:
    rank = loadings.shape[1]
    products = np.einsum("ja,jb->jab", loadings, loadings).reshape(len(loadings), -1)
    precisions = (mask @ products).reshape(-1, rank, rank) / noise + np.eye(rank)
    covariances = np.linalg.inv(precisions)
    return np.einsum("nab,nb->na", covariances, residuals @ loadings / noise), covariances


def _maximised(
    known: Floats, mask: Floats, scores: Floats, covariances: Floats, noise: float
) -> tuple[Floats, Floats]:
    """Loadings and column means by one ridge regression a column on the scores and a constant."""
    n, rank = scores.shape
    extended = np.column_stack([scores, np.ones(n)])
    moments = np.einsum("na,nb->nab", extended, extended)
    moments[:, :rank, :rank] += covariances
    left = (mask.T @ moments.reshape(n, -1)).reshape(-1, rank + 1, rank + 1)
    left += noise * np.diag([1.0] * rank + [_MEAN_PRECISION])
    solved = np.linalg.solve(left, (known.T @ extended)[:, :, None])[:, :, 0]
    return solved[:, :rank], solved[:, rank]
