"""Normal conditioning against the textbook's closed form."""

import numpy as np
from scipy.stats import multivariate_normal

from lib.performance_prediction.rows.covariance import ResidualMoments, Shrinkage

RESIDUALS = np.random.default_rng(0).normal(size=(50, 4)) @ np.random.default_rng(1).normal(size=(4, 4))
FLOOR = 1e-3


def test_two_columns_condition_as_the_bivariate_normal_does() -> None:
    residuals = np.array(
        [[2.0, 1.0], [-2.0, -1.0], [2.0, 5.0], [-2.0, -5.0]]
    )  # variances 4 and 13, covariance 6
    part = ResidualMoments.of(residuals).part(np.array([[0]]))
    row = Shrinkage(np.zeros(2), 0.0, 0.0).condition(part, np.array([[1.0, 2.0]]), np.array([[1.5]]))
    floor = FLOOR * (4 + 13) / 2
    assert np.isclose(row.mean[0, 0], 2.5)
    assert np.isclose(row.mean[0, 1], 2.0 + 6 / (4 + floor) * 1.5)
    assert np.isclose(row.variance[0, 1], 13 + floor - 36 / (4 + floor))
    assert row.variance[0, 0] == 0.0
    assert np.isclose(row.distance[0], 1.5**2 / (4 + floor))


def test_conditional_density_is_the_ratio_of_joint_and_marginal() -> None:
    moments = RESIDUALS.T @ RESIDUALS / 50
    deviations = np.sqrt(np.diag(moments))
    scaled = np.outer(deviations, deviations)
    others = ~np.eye(4, dtype=bool)
    correlation = max(moments[others].sum() / scaled[others].sum(), 0.0)
    joint = 0.8 * moments + 0.2 * correlation * scaled
    np.fill_diagonal(joint, 1.05 * np.diag(moments) + FLOOR * np.diag(moments).mean())
    prior, x = np.random.default_rng(2).normal(size=(2, 4))
    part = ResidualMoments.of(RESIDUALS).part(np.array([[0, 1, 2]]))
    shrinkage = Shrinkage(np.zeros(4), 0.2, 0.05)
    row = shrinkage.condition(part, prior[None], (x - prior)[None, :3])
    ratio = multivariate_normal(prior, joint).logpdf(x) - multivariate_normal(
        prior[:3], joint[:3, :3]
    ).logpdf(x[:3])
    own = multivariate_normal(row.mean[0, 3], row.variance[0, 3]).logpdf(x[3])
    assert np.isclose(ratio, own)
    assert np.isclose(row.distance[0], shrinkage.distances(part, (x - prior)[None, :3])[0])


def test_leaving_rows_out_equals_never_having_had_them() -> None:
    given = np.array([[1, 3]])
    whole = ResidualMoments.of(RESIDUALS).part(given, [np.arange(40, 50)])
    part = ResidualMoments.of(RESIDUALS[:40]).part(given)
    assert np.allclose(whole.columns, part.columns)
    assert np.allclose(whole.variances, part.variances)
    assert np.allclose(whole.correlation, part.correlation)


def test_without_measured_cells_the_prior_stands() -> None:
    part = ResidualMoments.of(RESIDUALS).part(np.zeros((1, 0), dtype=np.int64))
    prior = np.array([[0.1, 0.2, 0.3, 0.4]])
    row = Shrinkage(np.zeros(4), 0.1, 0.01).condition(part, prior, np.zeros((1, 0)))
    assert np.array_equal(row.mean, prior)
    assert (row.variance >= part.variances).all() and row.distance[0] == 0.0


def test_a_constant_column_is_not_dragged_along() -> None:
    residuals = np.column_stack([RESIDUALS, np.zeros(50)])
    part = ResidualMoments.of(residuals).part(np.array([[0]]))
    row = Shrinkage(np.zeros(5), 0.6, 0.01).condition(part, np.zeros((1, 5)), np.array([[10.0]]))
    assert row.mean[0, 4] == 0.0
