"""Sweeps within a budget: the policy's order, never a cell expected to overrun, resumable like any sweep."""

from __future__ import annotations

import pytest

from lib.benchmark.budget import order_within, run_within, seconds_of
from lib.errors import CvAutomlError
from lib.records import RecordStore
from tests.benchmark.made_up_sweep import ready


def cheapest_first(cells, own):
    return sorted(range(len(cells)), key=lambda i: cells[i].cost_s)


def dearest_first(cells, own):
    return cheapest_first(cells, own)[::-1]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("30m", 1800), ("1.5h", 5400), ("1h30m", 5400), ("2 min", 120)],
)
def test_budgets_are_read_as_written(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "0", "-5m", "5 years", "m"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(CvAutomlError, match="expected a time"):
        seconds_of(text)


def run(sweep, settings, policy, budget_s, **values):
    return run_within(sweep.plan, sweep.data_sets, settings, policy, budget_s, **values)


def test_cells_run_in_the_order_of_the_policy_which_sees_each_result(tiny_set, settings):
    seen = []

    def policy(cells, own):
        seen.append(len(own))
        return dearest_first(cells, own)

    outcome = run(ready(tiny_set, settings, heads=("naive", "knn", "mlp")), settings, policy, 600)
    assert [record.head.name for record in outcome.sweep.records] == ["mlp", "knn", "naive"]
    assert seen == [0, 1, 2]
    assert outcome.left == ()
    assert "every cell" in outcome.stopped


def test_a_cell_expected_to_overrun_is_never_started(tiny_set, settings):
    sweep = ready(tiny_set, settings, heads=("naive", "linear", "mlp"))
    costs = {p.cell.head: p.estimated_s for p in sweep.plan.cells}
    outcome = run(sweep, settings, dearest_first, costs["naive"] + 0.01, now=lambda: 0.0)
    assert {record.head.name for record in outcome.sweep.records} == {"naive"} or not outcome.sweep.records
    assert outcome.left
    assert "cheapest cell is expected to take" in outcome.stopped


def test_features_are_paid_for_once(tiny_set, settings):
    plan = ready(tiny_set, settings, heads=("linear", "mlp")).plan
    ordered = order_within(plan, cheapest_first, [], 600)
    assert sum(one.cost_s for one in ordered) == pytest.approx(plan.estimated_s)
    first, second = ordered
    assert first.cost_s > second.cost_s - 0.1


def test_the_same_command_goes_on_where_it_stopped(tiny_set, settings):
    clock = iter(range(0, 1000, 100))
    first = run(
        ready(tiny_set, settings, seeds=(0, 1)), settings, cheapest_first, 150, now=lambda: next(clock)
    )
    assert 0 < len(first.sweep.records) < 4
    second = run(ready(tiny_set, settings, seeds=(0, 1)), settings, cheapest_first, 600)
    assert len(first.sweep.records) + len(second.sweep.records) == 4
    assert len(RecordStore(settings.runs_dir).read_all()[0]) == 4
