"""A sweep within a budget of seconds: a policy says which cell is worth its time most, and is asked again after each."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lib.benchmark.cell_run import Bench, run_cell
from lib.benchmark.listening import Listener
from lib.benchmark.plan import Cell, Plan, PlannedCell
from lib.benchmark.run import Sweep, find_record, require_writable, save_record, write_facts, write_landmarks
from lib.config import Settings
from lib.datasets import DataSet
from lib.errors import CvAutomlError
from lib.records import RecordStore, RunRecord

UNITS_S = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}
OPEN_BENCHES = 4


@dataclass(frozen=True)
class PricedCell:
    """A cell to run and the seconds it is expected to take, features included where they are not at hand."""

    cell: Cell
    cost_s: float


Policy = Callable[[Sequence[PricedCell], Sequence[RunRecord]], Sequence[int]]


@dataclass(frozen=True)
class BudgetedSweep:
    """What came of it. `left`: cells not run; `spent_s`: wall clock; `stopped`: why no further cell was started."""

    sweep: Sweep
    left: tuple[PricedCell, ...]
    spent_s: float
    stopped: str


def seconds_of(text: str) -> float:
    """`90`, `90s`, `30m`, `1.5h`, `1h30m` → seconds; raises CvAutomlError for anything else and for 0."""
    pieces = re.findall(r"(\d+(?:\.\d+)?)\s*(h|min|m|s|)", text.strip().lower())
    whole = re.fullmatch(r"(\s*\d+(\.\d+)?\s*(h|min|m|s)\s*)+|\s*\d+(\.\d+)?\s*", text.lower())
    total = sum(float(number) * UNITS_S[unit] for number, unit in pieces)
    if not whole or total <= 0:
        raise CvAutomlError(
            f"a budget of '{text}': expected a time such as 90s, 30m, 2h, 1h30m or plain seconds"
        )
    return total


@dataclass
class _Clockwork:
    """What is left to run, and what it costs: features only until a cell of their group has run."""

    cells: list[PlannedCell]
    features_s: dict[tuple[str, str, str], float]
    expected_s: float = 0.0
    spent_s: float = 0.0

    def slowness(self) -> float:
        """How much longer cells have taken than expected so far; at least 1, so that luck is not spent beforehand."""
        return max(self.spent_s / self.expected_s, 1.0) if self.expected_s else 1.0

    def priced(self) -> list[PricedCell]:
        """The cells that are left, at their price of now."""
        return [
            PricedCell(
                p.cell, p.estimated_s + (self.features_s.get(p.cell.group, 0.0) if p.needs_features else 0.0)
            )
            for p in self.cells
        ]

    def take(self, index: int) -> Cell:
        """The cell at a position, which is left no longer."""
        self.expected_s += self.priced()[index].cost_s
        taken = self.cells.pop(index)
        if taken.needs_features:
            self.features_s.pop(taken.cell.group, None)
        return taken.cell


def order_within(plan: Plan, policy: Policy, own: Sequence[RunRecord], budget_s: float) -> list[PricedCell]:
    """The cells that would be run if each came out as expected: what --dry-run shows. Later choices depend on results."""
    work = _Clockwork([p for p in plan.cells if p.to_run], dict(plan.features_s))
    chosen: list[PricedCell] = []
    left = budget_s
    priced = work.priced()
    for index in policy(priced, own):
        cell = priced[index].cell
        place = next(i for i, p in enumerate(work.cells) if p.cell is cell)
        now = work.priced()[place]
        if now.cost_s <= left:
            work.take(place)
            chosen.append(now)
            left -= now.cost_s
    return chosen


def run_within(
    plan: Plan,
    data_sets: Mapping[tuple[str, str], DataSet],
    settings: Settings,
    policy: Policy,
    budget_s: float,
    listener: Listener | None = None,
    now: Callable[[], float] = time.perf_counter,
) -> BudgetedSweep:
    """Runs the policy's first cell that is expected to end within the budget, asks again, until none is.

    `policy`: cells and the finished records on these data sets → positions, best first. Raises CvAutomlError where records
    cannot be written. An interruption loses the running cell alone; done cells cost nothing when the command is repeated.
    """
    started, listener = now(), listener or Listener()
    store = RecordStore(settings.runs_dir)
    require_writable(settings.runs_dir)
    work = _Clockwork([p for p in plan.cells if p.to_run], dict(plan.features_s))
    done = [record for p in plan.cells if p.state == "done" and (record := find_record(store, p.cell))]
    desk = _Desk(data_sets, settings, store)
    written: list[RunRecord] = []
    stopped = "every cell of the grid is done"
    listener.sweep_starts(plan)
    while work.cells:
        priced, left = work.priced(), budget_s - (now() - started)
        ranked, slowness = policy(priced, [*done, *written]), work.slowness()
        index = next((i for i in ranked if priced[i].cost_s * slowness <= left), None)
        if index is None:
            cheapest = slowness * min(one.cost_s for one in priced)
            stopped = f"{max(left, 0):.0f} s are left, the cheapest cell is expected to take {cheapest:.1f} s"
            break
        cell, began = work.take(index), now()
        listener.cell_starts(cell)
        record = desk.run(cell, listener)
        work.spent_s += now() - began
        written.append(record)
        listener.cell_ends(cell, record)
    return BudgetedSweep(
        Sweep(tuple(written), tuple(dict.fromkeys(desk.warnings))),
        tuple(work.priced()),
        now() - started,
        stopped,
    )


@dataclass
class _Desk:
    """Runs single cells; the last few pairs of data set and backbone stay open, for the order jumps between them."""

    data_sets: Mapping[tuple[str, str], DataSet]
    settings: Settings
    store: RecordStore
    warnings: list[str] = field(default_factory=list)
    benches: dict[tuple[str, str, str], Bench] = field(default_factory=dict)

    def run(self, cell: Cell, listener: Listener) -> RunRecord:
        bench = self.benches.pop(cell.group, None)
        if bench is None:
            bench = Bench(self.data_sets[cell.group[:2]], cell.group[2], self.settings)
            self.warnings += write_facts(bench.data_set, self.store)
        self.benches[cell.group] = bench
        while len(self.benches) > OPEN_BENCHES:
            del self.benches[next(iter(self.benches))]
        record = run_cell(cell, bench, listener)
        save_record(self.store, record)
        self.warnings += write_landmarks(bench, self.store)
        return record


def within(plan: Plan, chosen: Sequence[PricedCell]) -> Plan:
    """The plan with only the chosen cells to run, in their order and at their price."""
    by_key = {p.cell.key: p for p in plan.cells}
    cells = tuple(replace(by_key[one.cell.key], estimated_s=one.cost_s) for one in chosen)
    return replace(plan, cells=cells, features_s={})
