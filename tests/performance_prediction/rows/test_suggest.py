"""What to run next: never what is measured, cheap before dear, better than chance."""

import numpy as np
import pandas as pd
import pytest

from lib.errors import MatrixError
from lib.performance_prediction.rows.model import NewRowModel
from lib.performance_prediction.rows.scenarios import Scenarios
from lib.performance_prediction.rows.suggest import (
    STEPS,
    asked_path,
    best_portfolio_steps,
    choose_columns,
    greedy_portfolio,
    suggest,
)
from tests.performance_prediction.planted_rows import as_table, planted_scores, revealed


@pytest.fixture(scope="module")
def planted() -> tuple[NewRowModel, np.ndarray, pd.DataFrame]:
    scores, features = planted_scores(100, 25, seed=0)
    return NewRowModel.fit(as_table(scores[:70], features[:70])), scores[70:], features[70:]


def test_measured_columns_are_never_suggested(planted) -> None:
    model, scores, features = planted
    values = revealed(scores[0], 20, seed=0)
    plan = suggest(model, values, count=50, features=features.iloc[[0]])
    assert sorted(s.index for s in plan.suggestions) == np.flatnonzero(~np.isfinite(values)).tolist()
    assert plan.incumbent == np.nanmax(values)


def test_a_dear_column_gives_way_to_a_cheap_one_nearly_as_good(planted) -> None:
    model = planted[0]
    nothing = np.full(25, np.nan)
    first = suggest(model, nothing).suggestions[0].index
    costs = np.ones(25)
    costs[first] = 1000.0
    plan = suggest(model, nothing, costs, count=3)
    assert first not in [s.index for s in plan.suggestions]
    assert sum(s.cost for s in plan.suggestions) == 3.0


def test_expected_best_rises_and_expected_regret_falls_along_the_plan(planted) -> None:
    model, scores, features = planted
    plan = suggest(model, revealed(scores[1], 2, seed=0), count=6, features=features.iloc[[1]])
    best = [s.expected_best for s in plan.suggestions]
    assert best == sorted(best) and plan.incumbent is not None and best[0] >= plan.incumbent
    assert 0 <= plan.regret_after < plan.regret_before


def test_asking_after_every_run_finds_the_best_sooner_than_chance(planted) -> None:
    model, scores, features = planted
    regrets: dict[str, list[float]] = {"suggested": [], "random": []}
    for i, row in enumerate(scores):
        values = np.full(25, np.nan)
        for _ in range(4):
            index = suggest(model, values, features=features.iloc[[i]]).suggestions[0].index
            values[index] = row[index]
        regrets["suggested"].append(row.max() - np.nanmax(values))
        regrets["random"].append(row.max() - np.nanmax(revealed(row, 4, seed=i)))
    assert np.mean(regrets["suggested"]) < 0.3 * np.mean(regrets["random"])


def test_costs_that_make_no_sense_are_refused(planted) -> None:
    model = planted[0]
    with pytest.raises(MatrixError, match="column 'c0' has the cost 0"):
        suggest(model, np.full(25, np.nan), np.zeros(25))
    with pytest.raises(MatrixError, match="25 costs"):
        suggest(model, np.full(25, np.nan), np.ones(3))


def test_columns_that_once_won_where_the_measured_one_failed_have_a_say() -> None:
    past = np.array([[0.5, 0.9, 0.4], [0.5, 0.2, 0.4], [0.5, 0.2, 0.4]])
    scenarios = Scenarios(np.array([[0.6, 0.5, 0.59]] * 3), np.full(3, 1 / 3), past)
    measured = np.array([0.6, np.nan, np.nan])
    assert choose_columns(scenarios, measured, 1) == [1]
    assert choose_columns(scenarios, measured, 2, excluded=[1]) == [2]


def test_portfolio_steps_follow_the_past_rows_whatever_was_found(planted) -> None:
    model, scores, features = planted
    path = asked_path(lambda values: model.scenarios(values, features.iloc[[0]]), scores[0], 8, 5)
    static = greedy_portfolio(model.training.scale.backward(model.training.filled), 5)
    assert path[:5] == static and len(set(path)) == 8
    together = choose_columns(model.scenarios(np.full(25, np.nan)), np.full(25, np.nan), 8, portfolio_steps=5)
    assert together[:5] == static and len(set(together)) == 8


def test_a_row_played_as_new_is_not_among_its_own_scenarios(planted) -> None:
    model = planted[0]
    scenarios = model.scenarios_as(3, np.full(25, np.nan))
    assert scenarios.weights[3] == 0 and np.isclose(scenarios.weights.sum(), 1)


def test_asking_is_chosen_where_rows_differ_in_kind_and_the_portfolio_where_they_do_not() -> None:
    rng = np.random.default_rng(0)
    kinds = rng.uniform(0.3, 0.9, (4, 30))  # which columns are good depends on the kind of the row
    differ = np.clip(kinds[np.arange(80) % 4] + 0.02 * rng.standard_normal((80, 30)), 0, 1)
    assert best_portfolio_steps(NewRowModel.fit(as_table(differ))) < STEPS[-1]
    wins = np.full((80, 30), 0.5) + 0.01 * rng.standard_normal((80, 30))
    wins[np.arange(80), rng.choice(30, 80, p=np.arange(30, 0, -1) / 465)] += 0.4  # one lucky column a row
    assert best_portfolio_steps(NewRowModel.fit(as_table(wins))) > 0
