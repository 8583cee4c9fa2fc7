"""Scenarios of a row: they agree with what is measured, and rows alike weigh more."""

import numpy as np

from lib.performance_prediction.rows.covariance import ResidualMoments, Shrinkage
from lib.performance_prediction.rows.scenarios import Scenarios, Surprises

RESIDUALS = np.array([[0.5, 0.5, 0.0], [-0.5, -0.5, 0.0], [0.1, 0.1, 0.4], [-0.1, -0.1, -0.4]])
SURPRISES = Surprises(ResidualMoments.of(RESIDUALS), Shrinkage(np.zeros(3), 0.0, 0.01), 0.5 + RESIDUALS)
EXPECTED = np.full(3, 0.5)


def test_measured_cells_hold_in_every_scenario() -> None:
    scenarios = SURPRISES.carry(EXPECTED, np.array([0.61, np.nan, np.nan]), np.full(4, 0.25))
    assert (scenarios.values[:, 0] == 0.61).all()
    assert np.abs(scenarios.values[:, 1] - 0.61).max() < 0.02  # the second column moves with the first


def test_rows_with_like_surprises_weigh_more() -> None:
    weights = SURPRISES.carry(EXPECTED, np.array([0.62, np.nan, np.nan]), np.full(4, 0.25)).weights
    assert weights[0] == weights.max() and weights[1] == weights.min()
    assert np.isclose(weights.sum(), 1)


def test_nothing_measured_leaves_rows_as_likely_as_they_were() -> None:
    likely = np.array([0.4, 0.3, 0.2, 0.1])
    assert np.allclose(SURPRISES.carry(EXPECTED, np.full(3, np.nan), likely).weights, likely)


def test_caution_keeps_the_mean_and_narrows_the_rest() -> None:
    scenarios = Scenarios(np.array([[0.2, 0.9], [0.4, 0.1]]), np.array([0.5, 0.5]), np.zeros((2, 2)))
    cautious = scenarios.cautious()
    assert np.allclose(cautious.mean(0), [0.3, 0.5])
    assert (np.ptp(cautious, axis=0) < np.ptp(scenarios.values, axis=0)).all()
