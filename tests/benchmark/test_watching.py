"""Whoever watches a sweep sees what is done, how well it went and what is left."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.live import Live

from lib.benchmark.plan import Estimates, plan_cells
from lib.records import EpochEntry
from lib.reporting.tables import readable_seconds
from lib.reporting.watching import LiveTable, PlainLines, TimeLeft, watching
from tests.benchmark.test_plan import cell, record
from tests.zoo.made_up import made_up_backbone_info


def two_cells():
    return plan_cells([cell(seed=0), cell(seed=1)], lambda one: None, Estimates())


def test_time_left_is_corrected_by_what_cells_really_took():
    plan = two_cells()
    left = TimeLeft.of(plan)
    assert left.seconds() == pytest.approx(plan.estimated_s)
    first, second = (planned.cell for planned in plan.cells)
    expected = left.estimates[first.key]
    remaining = left.estimates[second.key]
    left.cell_done(first, 3 * expected)
    assert left.seconds() == pytest.approx(3 * remaining)
    left.cell_done(second, 1.0)
    assert left.seconds() == 0


def test_seconds_are_readable():
    assert [readable_seconds(s) for s in (0.14, 42, 200, 7500)] == [
        "0.1 s",
        "42 s",
        "3 min 20 s",
        "2 h 5 min",
    ]


def test_plain_lines_tell_place_outcome_and_time():
    lines: list[str] = []
    clock = iter(range(100))
    listener = PlainLines(lines.append, now=lambda: float(next(clock)))
    plan = two_cells()
    first, second = (planned.cell for planned in plan.cells)
    listener.sweep_starts(plan)
    listener.cell_starts(first)
    listener.cell_ends(first, record(first))
    listener.cell_starts(second)
    listener.cell_ends(second, record(second, "failed"))
    assert lines[0].startswith("[1/2] made_up · made_up_net × linear · seed 0: accuracy 0.9000 (")
    assert "left" in lines[0]
    assert "failed: a reason" in lines[1]


def test_random_weights_are_shouted_in_every_line():
    lines: list[str] = []
    random = cell(backbone=made_up_backbone_info(weights_origin="random"))
    listener = PlainLines(lines.append)
    listener.sweep_starts(plan_cells([random], lambda one: None, Estimates()))
    listener.cell_starts(random)
    listener.cell_ends(random, record(random))
    assert "RANDOM WEIGHTS" in lines[0]


def test_the_live_table_shows_the_running_epoch_and_the_finished_cell():
    console = Console(file=io.StringIO(), width=120)
    plan = two_cells()
    first = plan.cells[0].cell
    with Live(console=console, auto_refresh=False) as live:
        listener = LiveTable(live)
        listener.sweep_starts(plan)
        listener.cell_starts(first)
        listener.features_progress(first, 3, 12)
        listener.fold_starts(first, 2, 5)
        listener.epoch_ends(first, EpochEntry(epoch=3, test={"accuracy": 0.9}, validation={"accuracy": 0.5}))
        console.print(listener._picture())
        listener.cell_ends(first, record(first))
        console.print(listener._picture())
    text = console.file.getvalue()
    assert "fold 2 of 5, epoch 3/10, validation 0.5000" in text
    assert "accuracy 0.9000" in text
    assert "1 of 2 cells" in text


def test_pipes_get_plain_lines():
    with watching(Console(file=io.StringIO()), print) as listener:
        assert isinstance(listener, PlainLines)
