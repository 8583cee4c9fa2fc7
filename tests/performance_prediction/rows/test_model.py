"""New rows: accuracy against what the planted truth allows, robustness of small and odd tables, plain refusals."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from lib.errors import MatrixError, TooLittleDataError
from lib.performance_prediction.rows.model import NewRowModel
from lib.performance_prediction.table.conformal import multiplier_at
from lib.performance_prediction.table.score_table import ScoreTable
from tests.performance_prediction.planted_rows import as_table, planted_scores, revealed

NOTHING = np.full(20, np.nan)


@pytest.fixture(scope="module")
def planted() -> tuple[NewRowModel, np.ndarray, pd.DataFrame]:
    scores, features = planted_scores(120, 20, seed=0)
    model = NewRowModel.fit(as_table(scores[:80], features[:80]))
    return model, scores[80:], features[80:]


def _error(model: NewRowModel, scores: np.ndarray, features: pd.DataFrame | None, known: int) -> float:
    errors = []
    for i, row in enumerate(scores):
        values = revealed(row, known, seed=i)
        line = None if features is None else features.iloc[[i]]
        hidden = ~np.isfinite(values)
        errors.append(np.abs(model.predict(values, line).mean - row)[hidden].mean())
    return float(np.mean(errors))


def test_each_measured_cell_makes_the_rest_better_known(planted) -> None:
    model, scores, features = planted
    errors = [_error(model, scores, features, known) for known in (0, 1, 3, 10)]
    assert all(later < earlier for earlier, later in pairwise(errors))
    assert (
        errors[-1] < 0.045
    )  # noise of 0.15 on the logit scale costs about .025 where everything else is known


def test_features_that_tell_the_level_help_and_their_absence_is_survived(planted) -> None:
    model, scores, features = planted
    assert _error(model, scores, features, 0) < 0.85 * _error(model, scores, None, 0)
    all_gaps = (
        features.iloc[[0]].astype(object).where(pd.DataFrame(False, features.index[[0]], features.columns))
    )
    assert np.array_equal(model.predict(NOTHING, all_gaps).mean, model.predict(NOTHING).mean)


def test_measured_cells_keep_their_value_and_have_no_interval(planted) -> None:
    model, scores, features = planted
    values = revealed(scores[0], 5, seed=9)
    row = model.predict(values, features.iloc[[0]])
    given = np.isfinite(values)
    for part in (row.mean, row.low, row.high):
        assert np.array_equal(part[given], values[given])
    assert (row.spread[given] == 0).all() and (row.spread[~given] > 0).all()
    assert ((row.low >= 0) & (row.low <= row.mean) & (row.mean <= row.high) & (row.high <= 1)).all()


def test_scenarios_agree_with_what_is_measured(planted) -> None:
    model, scores, features = planted
    values = revealed(scores[0], 4, seed=1)
    scenarios = model.scenarios(values, features.iloc[[0]])
    given = np.isfinite(values)
    assert (scenarios.values[:, given] == values[given]).all()
    assert np.isclose(scenarios.weights.sum(), 1)
    middle = scenarios.weights @ scenarios.values
    assert np.abs(middle - model.predict(values, features.iloc[[0]]).mean).max() < 0.1


def test_relatives_do_not_vouch_for_each_other() -> None:
    scores, _ = planted_scores(20, 10, seed=5)
    doubled = np.repeat(scores, 2, axis=0)
    sizes = {
        kind: multiplier_at(NewRowModel.fit(as_table(doubled), groups).multipliers, 1)
        for kind, groups in (("related", [str(i // 2) for i in range(40)]), ("strangers", None))
    }
    spreads = {"related": multiplier_at(NewRowModel.fit(as_table(scores)).multipliers, 1)}
    assert sizes["related"] == pytest.approx(spreads["related"], rel=0.35)
    assert sizes["strangers"] < sizes["related"]


def test_same_seed_gives_the_same_numbers() -> None:
    scores, features = planted_scores(30, 8, seed=6)
    values = revealed(scores[29], 3, seed=0)
    first, second = (
        NewRowModel.fit(as_table(scores[:29], features[:29]), seed=1).predict(values, features.iloc[[29]])
        for _ in "ab"
    )
    assert np.array_equal(first.mean, second.mean) and np.array_equal(first.low, second.low)


@pytest.mark.parametrize(("n_rows", "n_columns"), [(2, 1), (5, 4), (3, 60), (60, 3)])
def test_small_tables_are_predicted(n_rows: int, n_columns: int) -> None:
    scores, _ = planted_scores(n_rows, n_columns, seed=7)
    row = NewRowModel.fit(as_table(scores)).predict(np.full(n_columns, np.nan))
    assert np.isfinite(np.concatenate([row.mean, row.low, row.high, row.spread])).all()


def test_holes_constant_columns_and_empty_rows_and_columns_are_survived() -> None:
    scores, features = planted_scores(40, 15, seed=8)
    holed = np.where(np.random.default_rng(0).random(scores.shape) < 0.4, np.nan, scores)
    holed[:, 3] = 0.5
    holed[:, 4] = np.nan
    holed[5] = np.nan
    features.loc[7, "size"] = np.nan
    model = NewRowModel.fit(as_table(holed, features))
    values = np.where(np.arange(15) < 3, scores[1], np.nan)
    row = model.predict(values, features.iloc[[1]])
    assert np.isfinite(np.concatenate([row.mean, row.low, row.high])).all()
    assert abs(row.mean[3] - 0.5) < 0.05
    assert row.high[4] - row.low[4] > row.high[3] - row.low[3]


def test_wrong_rows_are_refused_with_the_place(planted) -> None:
    model = planted[0]
    with pytest.raises(MatrixError, match="needs 20 values"):
        model.predict(np.full(3, np.nan))
    outside = NOTHING.copy()
    outside[2] = 1.2
    with pytest.raises(MatrixError, match=r"column 'c2': the score 1\.2"):
        model.predict(outside)
    with pytest.raises(MatrixError, match="3 groups for 4 rows"):
        NewRowModel.fit(as_table(planted_scores(4, 3, 0)[0]), ["a", "b", "c"])


def test_a_single_row_is_too_little() -> None:
    table = ScoreTable(("a", "b"), ("x", "y"), np.array([[0.1, 0.2], [np.nan, np.nan]]))
    with pytest.raises(TooLittleDataError, match="at least two other rows"):
        NewRowModel.fit(table)


def test_a_table_of_a_few_scattered_cells_gives_wide_intervals() -> None:
    scores, _ = planted_scores(12, 6, seed=2)
    sparse = np.where(np.random.default_rng(0).random(scores.shape) < 0.85, np.nan, scores)
    row = NewRowModel.fit(as_table(sparse)).predict(np.full(6, np.nan))
    assert (row.high - row.low).min() > 0.2
