"""Sweeps within a budget: the policy's order, never a cell expected to overrun, resumable like any sweep."""

from __future__ import annotations

import pytest

from lib.benchmark.budget import Within, expected_order, seconds_of
from lib.benchmark.plan import CELL_S
from lib.benchmark.sweep import Remaining
from lib.errors import CvAutomlError
from lib.records import RecordStore
from tests.benchmark.made_up_sweep import ready, swept


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


def test_cells_run_in_the_order_of_the_policy_which_sees_each_result(tiny_set, settings):
    seen = []

    def policy(cells, own):
        seen.append(len(own))
        return dearest_first(cells, own)

    within = Within(600, policy)
    outcome = swept(ready(tiny_set, settings, heads=("naive", "knn", "mlp")), settings, ordering=within)
    assert [record.head.name for record in outcome.records] == ["mlp", "knn", "naive"]
    assert seen == [0, 1, 2]
    assert outcome.left == ()
    assert "every cell" in within.stopped


def test_a_cell_expected_to_overrun_is_never_started(tiny_set, settings):
    sweep = ready(tiny_set, settings, heads=("naive", "linear", "mlp"))
    costs = {p.cell.head: p.estimated_s for p in sweep.plan.cells}
    within = Within(costs["naive"] + 0.01, dearest_first, now=lambda: 0.0)
    outcome = swept(sweep, settings, ordering=within)
    assert {record.head.name for record in outcome.records} <= {"naive"}
    assert outcome.left
    assert "cheapest cell is expected to take" in within.stopped


def test_cells_that_take_longer_than_expected_are_expected_to_go_on_so(tiny_set, settings):
    cells = ready(tiny_set, settings, heads=("naive",), seeds=(0, 1)).plan
    clock = [0.0]
    within = Within(10 * CELL_S, cheapest_first, now=lambda: clock[0])
    remaining = Remaining(cells)
    chosen = within.next(remaining.cells, [])
    remaining.take(chosen)
    clock[0] = 6 * CELL_S
    assert within.next(remaining.cells, []) is None
    assert within.slowness() == pytest.approx(6)


def test_features_are_paid_for_once(tiny_set, settings):
    plan = ready(tiny_set, settings, heads=("linear", "mlp")).plan
    ordered = expected_order(plan, cheapest_first, [], 600)
    assert ordered.estimated_s == pytest.approx(plan.estimated_s)
    first, second = ordered.cells
    assert first.estimated_s > second.estimated_s - 0.1


def test_the_same_command_goes_on_where_it_stopped(tiny_set, settings):
    clock = iter(range(0, 10000, 100))
    first = swept(
        ready(tiny_set, settings, seeds=(0, 1)),
        settings,
        ordering=Within(450, cheapest_first, now=lambda: next(clock)),
    )
    assert 0 < len(first.records) < 4
    second = swept(ready(tiny_set, settings, seeds=(0, 1)), settings, ordering=Within(600, cheapest_first))
    assert len(first.records) + len(second.records) == 4
    assert len(RecordStore(settings.runs_dir).read_all()[0]) == 4


def test_a_budget_skips_and_refuses_as_any_sweep_does(tiny_set, settings):
    def sweep():
        return ready(tiny_set, settings, heads=("linear", "deeplabv3plus"))

    late = sweep()
    assert {r.status for r in swept(sweep(), settings, ordering=Within(600, cheapest_first)).records} == {
        "finished",
        "incompatible",
    }
    assert swept(late, settings, ordering=Within(600, cheapest_first)).records == ()
