"""Single completers against independent sources: closed forms, fixed points, definitions."""

from __future__ import annotations

import numpy as np
import pytest

from lib.performance_prediction.completers.additive import fit_additive
from lib.performance_prediction.completers.gibbs import _draw_normals, _Side, _wishart, sample
from lib.performance_prediction.completers.knn import squared_distances
from lib.performance_prediction.completers.soft_impute import soft_impute
from lib.performance_prediction.table.scales import Scale
from tests.performance_prediction.score_tables import planted


def test_additive_effects_solve_the_mixed_model_equations() -> None:
    """Henderson's equations, with the variances that were estimated, solved directly."""
    table, _ = planted(9, 7)
    fitted = fit_additive(table.values)
    cells = np.argwhere(table.observed)
    design = np.zeros((len(cells), 17))
    design[:, 0] = 1
    design[np.arange(len(cells)), 1 + cells[:, 0]] = 1
    design[np.arange(len(cells)), 10 + cells[:, 1]] = 1
    ridge = np.r_[0, np.full(9, 1 / fitted.row_variance), np.full(7, 1 / fitted.column_variance)]
    solution = np.linalg.solve(
        design.T @ design / fitted.noise_variance + np.diag(ridge),
        design.T @ table.values[table.observed] / fitted.noise_variance,
    )
    expected = solution[0] + solution[1:10, None] + solution[10:]
    np.testing.assert_allclose(fitted.cells(), expected, atol=2e-3)


def test_additive_shrinks_a_row_of_one_cell_more_than_a_full_one() -> None:
    rng = np.random.default_rng(1)
    values = 0.5 + 0.1 * rng.standard_normal((30, 1)) + 0.05 * rng.standard_normal((30, 20))
    values[0], values[1] = np.nan, 0.9
    values[0, 0] = 0.9
    fitted = fit_additive(values)
    assert 0 < fitted.rows[0] < fitted.rows[1]


def test_soft_impute_ends_at_its_fixed_point() -> None:
    """Z = S_λ(P(X) + P⊥(Z)), eq. 13 of Mazumder et al. 2010, checked with scipy's SVD."""
    import scipy.linalg

    table, _ = planted(15, 12)
    residual = table.values - np.nanmean(table.values)
    fixed = soft_impute(residual, 0.4, steps=5000, tolerance=1e-10)
    left, singular, right = scipy.linalg.svd(np.where(table.observed, residual, fixed), full_matrices=False)
    np.testing.assert_allclose((left * np.maximum(singular - 0.4, 0)) @ right, fixed, atol=1e-6)


def test_soft_impute_beyond_the_largest_singular_value_leaves_nothing() -> None:
    table, _ = planted(15, 12)
    residual = table.values - np.nanmean(table.values)
    assert np.abs(soft_impute(residual, 1.01 * np.linalg.norm(np.nan_to_num(residual), 2))).max() == 0


def test_distances_are_mean_squares_over_common_cells() -> None:
    table, _ = planted(10, 200, hidden=0.2)
    observed, known = table.observed, np.nan_to_num(table.values)
    common = observed[0] & observed[1]
    direct = np.square(known[0, common] - known[1, common]).mean()
    assert squared_distances(known, observed)[0, 1] == pytest.approx(direct, rel=0.1)


def test_gibbs_finds_the_posterior_mean_of_a_conjugate_case() -> None:
    """With everything else given, a row's weights are normal: the mean of draws against the ridge solution."""
    rng = np.random.default_rng(0)
    precision = np.array([[3.0, 0.4], [0.4, 1.5]])
    target = np.array([1.0, -2.0])
    draws = _draw_normals(np.tile(precision, (40_000, 1, 1)), np.tile(target, (40_000, 1)), rng)
    np.testing.assert_allclose(draws.mean(axis=0), np.linalg.solve(precision, target), atol=0.02)
    np.testing.assert_allclose(np.cov(draws.T), np.linalg.inv(precision), atol=0.02)


def test_gibbs_conditional_of_a_row_is_the_weighted_ridge_solution() -> None:
    rng = np.random.default_rng(1)
    copies = 20_000
    side = _Side(1, np.zeros((copies, 0)), rng)
    side.precision, side.mean = np.diag([2.0, 5.0]), np.array([0.3, -0.2])
    other = np.array([[1.0, 0.1], [-0.5, 0.2], [2.0, 0.0]])
    known, weights = np.array([0.7, 0.0, 1.1]), np.array([4.0, 0.0, 9.0])
    side._draw_weights(np.tile(weights, (copies, 1)), np.tile(known, (copies, 1)), other, rng)
    design = np.c_[other[:, :1], np.ones(3)]
    posterior = side.precision + design.T @ np.diag(weights) @ design
    expected = np.linalg.solve(
        posterior, side.precision @ side.mean + design.T @ (weights * (known - other[:, 1]))
    )
    np.testing.assert_allclose(side.weights.mean(axis=0), expected, atol=0.02)


def test_wishart_draws_have_the_expected_mean() -> None:
    rng = np.random.default_rng(0)
    scale = np.array([[0.5, 0.1], [0.1, 0.3]])
    mean = np.mean([_wishart(7.0, scale, rng) for _ in range(4000)], axis=0)
    np.testing.assert_allclose(mean, 7 * scale, rtol=0.05)


def test_gibbs_learns_which_row_is_noisy() -> None:
    table, _ = planted(20, 40, noise=0.0, hidden=0.2)
    scale = Scale.fitted("logit", table.values)
    values = scale.forward(table.values)
    values[3] += np.random.default_rng(0).standard_normal(40)
    draws = list(sample(values, np.zeros((20, 0)), np.zeros((40, 0)), 4, 40, 40, 0))
    noise = np.mean([draw.noise_variance().mean(axis=1) for draw in draws], axis=0)
    assert len(draws) == 40
    assert noise.argmax() == 3
