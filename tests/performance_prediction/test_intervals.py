"""Conformal intervals of completed cells."""

from __future__ import annotations

import numpy as np
import pytest

from lib.performance_prediction.table.cell_intervals import Calibration, calibrate, conformal_quantile
from lib.performance_prediction.table.complete import complete
from lib.performance_prediction.table.score_table import HeldOut
from tests.performance_prediction.score_tables import planted, table_of


def test_quantile_is_the_order_statistic_with_the_finite_sample_correction() -> None:
    scores = np.random.default_rng(0).permutation(np.arange(1.0, 100.0))
    assert conformal_quantile(scores, 0.9) == 90.0
    assert conformal_quantile(np.arange(1.0, 10.0), 0.9) == 9.0


def test_too_few_scores_for_the_guarantee_widen_beyond_the_largest() -> None:
    assert conformal_quantile(np.array([1.0, 2.0]), 0.9) == 3.0


def test_quantile_covers_exchangeable_scores() -> None:
    rng = np.random.default_rng(0)
    covered = [rng.exponential() <= conformal_quantile(rng.exponential(size=40), 0.9) for _ in range(4000)]
    assert np.mean(covered) == pytest.approx(37 / 41, abs=0.015)


def test_factor_undoes_a_spread_that_is_wrong_by_a_constant() -> None:
    rng = np.random.default_rng(0)
    truth = 0.5 + 0.05 * rng.standard_normal((80, 80))
    half, double = (
        calibrate(truth, HeldOut(np.full(truth.shape, 0.5), np.full(truth.shape, s))) for s in (0.025, 0.1)
    )
    assert half.factor * 0.025 == pytest.approx(double.factor * 0.1)
    assert half.factor * 0.025 == pytest.approx(1.645 * 0.05, rel=0.05)


def test_nothing_held_out_means_all_of_the_unit_interval() -> None:
    low, high = calibrate(np.full((2, 2), np.nan), None).bounds(np.full((2, 2), 0.4), np.full((2, 2), 0.1))
    assert (low == 0).all() and (high == 1).all()


def test_bounds_stay_in_the_unit_interval() -> None:
    low, high = Calibration(2.0, 100).bounds(np.array([0.02, 0.99]), np.array([0.1, 0.1]))
    np.testing.assert_allclose(low, [0.0, 0.79])
    np.testing.assert_allclose(high, [0.22, 1.0])


@pytest.mark.parametrize("completer", ["stack", "additive", "als"])
def test_hidden_cells_of_a_planted_table_are_covered_nine_times_in_ten(completer: str) -> None:
    covered = []
    for seed in range(2):
        table, truth = planted(24, 36, noise=0.03, seed=seed)
        done = complete(table, completer, seed)
        hidden = ~table.observed
        covered.append(((truth >= done.low) & (truth <= done.high))[hidden].mean())
    assert 0.85 < np.mean(covered) < 0.95


def test_measured_cells_are_their_own_interval() -> None:
    table, _ = planted()
    done = complete(table, "additive")
    for array in (done.mean, done.low, done.high):
        np.testing.assert_array_equal(array[table.observed], table.values[table.observed])


def test_two_cells_are_too_few_to_promise_anything() -> None:
    values = np.full((5, 4), np.nan)
    values[0, 0], values[1, 1] = 0.4, 0.6
    done = complete(table_of(values))
    missing = np.isnan(values)
    assert (done.low[missing] == 0).all() and (done.high[missing] == 1).all()
