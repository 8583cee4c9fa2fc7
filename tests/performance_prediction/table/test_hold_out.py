"""Which cells are hidden, and what is chosen by them."""

from __future__ import annotations

import numpy as np

from lib.performance_prediction.completers.additive import RowPlusColumn
from lib.performance_prediction.completers.means import GlobalMean
from lib.performance_prediction.table.hold_out import (
    best_candidate,
    choice_folds,
    hold_out_predictions,
    plan_folds,
)
from tests.performance_prediction.score_tables import planted


def test_folds_part_the_measured_cells_evenly() -> None:
    table, _ = planted()
    masks = plan_folds(table.observed, seed=1)
    sizes = [int(mask.sum()) for mask in masks]
    assert len(masks) == 8 and max(sizes) - min(sizes) <= 1
    np.testing.assert_array_equal(np.sum(masks, axis=0), table.observed)


def test_large_tables_hide_one_share_and_tiny_ones_each_cell_alone() -> None:
    assert len(plan_folds(np.ones((300, 200), bool), 0)) == 1
    tiny = plan_folds(np.ones((6, 5), bool), 0)
    assert len(tiny) == 30 and np.sum(tiny, axis=0).tolist() == np.ones((6, 5)).tolist()


def test_choices_rest_on_every_fifth_of_a_small_table_and_one_of_a_large() -> None:
    small, large = (choice_folds(np.ones((n, 7), bool), 0) for n in (6, 1000))
    assert [int(mask.sum()) for mask in small] == [8] * 5 and np.sum(small, axis=0).max() == 1
    assert [int(mask.sum()) for mask in large] == [1400]
    assert choice_folds(np.ones((1, 2), bool), 0) == []


def test_the_better_candidate_is_chosen() -> None:
    table, _ = planted()
    assert best_candidate(table, [GlobalMean(), RowPlusColumn()], 0) == 1


def test_held_out_predictions_do_not_know_their_cell() -> None:
    table, _ = planted(6, 5, hidden=0.2)
    told = hold_out_predictions(table, RowPlusColumn(), 0)[0]
    i, j = np.argwhere(table.observed)[3]
    table.values[i, j] = 1 - table.values[i, j]
    assert hold_out_predictions(table, RowPlusColumn(), 0)[0][i, j] == told[i, j]
    assert np.isnan(told[~table.observed]).all()
