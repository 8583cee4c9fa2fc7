"""Conformal intervals, of cells and of whole rows."""

from __future__ import annotations

import numpy as np
import pytest

from lib.performance_prediction.rows.model import NewRowModel
from lib.performance_prediction.table.complete import complete
from lib.performance_prediction.table.conformal import (
    CellConformal,
    calibrate_cells,
    conformal_quantile,
    fair_quantile,
    group_weights,
    grouped_quantile,
    multiplier_at,
    row_quantile,
    worst_decile_coverage,
)
from tests.performance_prediction.planted_rows import as_table, planted_scores, revealed
from tests.performance_prediction.score_tables import planted, table_of


def test_quantile_is_the_order_statistic_with_the_finite_sample_correction() -> None:
    scores = np.random.default_rng(0).permutation(np.arange(1.0, 100.0))
    for n in (9, 10, 19, 50, 99):
        place = int(np.ceil(np.round((n + 1) * 0.9, 9)))
        assert conformal_quantile(scores[:n]) == np.sort(scores[:n])[place - 1]


def test_quantile_covers_exchangeable_scores() -> None:
    rng = np.random.default_rng(0)
    covered = [rng.exponential() <= conformal_quantile(rng.exponential(size=40), 0.9) for _ in range(4000)]
    assert np.mean(covered) == pytest.approx(37 / 41, abs=0.015)


def test_grouped_quantile_of_groups_of_one_is_the_ordinary_quantile() -> None:
    scores = np.random.default_rng(0).exponential(size=999)
    expected = np.quantile(scores, 0.9, method="inverted_cdf")
    assert np.isclose(grouped_quantile(scores, range(999)), expected)
    assert np.isclose(row_quantile([np.array([s]) for s in scores], list(range(999))), expected)


def test_weights_are_shared_by_group_then_row_then_cell() -> None:
    weights = group_weights(["a", "a", "a", "b", "b"], rows=["r1", "r1", "r2", "r3", "r3"])
    np.testing.assert_allclose(weights, [1 / 8, 1 / 8, 1 / 4, 1 / 4, 1 / 4])


def test_factor_undoes_a_spread_that_is_wrong_by_a_constant() -> None:
    rng = np.random.default_rng(0)
    truth = 0.5 + 0.05 * rng.standard_normal((80, 80))
    told = np.full(truth.shape, 0.5)
    half, double = (calibrate_cells(truth, told, np.full(truth.shape, s)) for s in (0.025, 0.1))
    assert half.factor * 0.025 == pytest.approx(double.factor * 0.1)
    assert half.factor * 0.025 == pytest.approx(1.645 * 0.05, rel=0.05)


def test_too_few_hidden_cells_mean_all_of_the_unit_interval() -> None:
    values = np.array([[0.4, 0.5]])
    low, high = calibrate_cells(values, values, np.ones((1, 2))).bounds(values, np.full((1, 2), 0.1))
    assert (low == 0).all() and (high == 1).all()


def test_bounds_stay_in_the_unit_interval() -> None:
    low, high = CellConformal(2.0, 100).bounds(np.array([0.02, 0.99]), np.array([0.1, 0.1]))
    np.testing.assert_allclose(low, [0.0, 0.79])
    np.testing.assert_allclose(high, [0.22, 1.0])


@pytest.mark.parametrize("completer", ["bayesian_mf", "additive", "als"])
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


def test_new_rows_of_a_planted_set_are_covered_at_every_number_of_known_cells() -> None:
    coverage: dict[int, list[float]] = {0: [], 1: [], 5: []}
    for seed in range(2):
        scores, features = planted_scores(140, 12, seed=10 + seed)
        model = NewRowModel.fit(as_table(scores[:60], features[:60]))
        for i, row in enumerate(scores[60:]):
            for known, shares in coverage.items():
                values = revealed(row, known, seed=i)
                predicted = model.predict(values, features.iloc[[60 + i]])
                hidden = ~np.isfinite(values)
                shares.append(float(((predicted.low <= row) & (row <= predicted.high))[hidden].mean()))
    for known, shares in coverage.items():
        assert 0.85 < np.mean(shares) < 0.96, known


def test_row_quantile_weighs_groups_not_cells() -> None:
    many, few = np.full(1000, 1.0), np.array([2.0])
    assert row_quantile([many, few], [0, 1], coverage=0.6) == 2.0
    assert row_quantile([many, few, few], [0, 1, 1], coverage=0.5) == 1.0


def test_multipliers_between_known_sizes_are_interpolated() -> None:
    known = {0: 1.0, 3: 3.0}
    assert [multiplier_at(known, k) for k in (0, 3, 50)] == [1.0, 3.0, 3.0]
    assert 1.0 < multiplier_at(known, 1) < 3.0


def test_intervals_widen_only_where_some_rows_are_covered_badly() -> None:
    rng = np.random.default_rng(1)
    even = [np.abs(rng.normal(size=200)) for _ in range(40)]
    uneven = [np.abs(rng.normal(0, scale, 200)) for scale in np.geomspace(0.5, 3.0, 40)]
    groups = list(range(40))
    assert fair_quantile(even, groups) == pytest.approx(row_quantile(even, groups), rel=0.02)
    assert fair_quantile(uneven, groups) > 1.03 * row_quantile(uneven, groups)


def test_two_calm_rows_do_not_make_intervals_narrow() -> None:
    assert fair_quantile([np.full(5, 0.01), np.full(5, 0.02)], [0, 1]) > 1.0


def test_worst_decile_is_the_mean_of_the_rows_covered_worst() -> None:
    rows = [np.array([0.5, 0.5])] * 18 + [np.array([0.5, 2.0]), np.array([2.0, 2.0])]
    assert worst_decile_coverage(rows, 1.0) == 0.25
