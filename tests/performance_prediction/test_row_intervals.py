"""Intervals by row: coverage where rows, not cells, are the exchangeable units."""

import numpy as np
import pytest

from lib.performance_prediction.rows.model import NewRowModel
from lib.performance_prediction.table.row_intervals import (
    RowConformal,
    fair_quantile,
    row_quantile,
    worst_decile_coverage,
)
from tests.performance_prediction.planted_rows import as_table, planted_scores, revealed


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


def test_quantile_weighs_groups_not_cells() -> None:
    many, few = np.full(1000, 1.0), np.array([2.0])
    assert row_quantile([many, few], [0, 1], coverage=0.6) == 2.0
    assert row_quantile([many, few, few], [0, 1, 1], coverage=0.5) == 1.0


def test_quantile_of_single_cells_is_the_ordinary_one() -> None:
    scores = np.random.default_rng(0).exponential(size=999)
    own = row_quantile([np.array([s]) for s in scores], list(range(999)), 0.9)
    assert np.isclose(own, np.quantile(scores, 0.9, method="inverted_cdf"))


def test_multipliers_between_known_sizes_are_interpolated() -> None:
    conformal = RowConformal({0: 1.0, 3: 3.0})
    assert conformal.multiplier(0) == 1.0 and conformal.multiplier(3) == 3.0 == conformal.multiplier(50)
    assert 1.0 < conformal.multiplier(1) < 3.0


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
