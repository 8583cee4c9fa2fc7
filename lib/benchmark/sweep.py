"""The one sweep loop: an ordering says which cell comes next, each record is on disk before the next cell starts.

An ordering is anything with `next(remaining, finished)`: it is asked before every cell with the cells that are left, each at
its price of now, and the finished records of the sweep's data sets, and gives one of `remaining`, or None to stop.
`PlanOrder` takes them as they stand; `lib.benchmark.budget.Within` asks a policy and stops when time is up.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from lib.benchmark.cell_run import Bench, incompatible_record, run_cell
from lib.benchmark.facts import write_facts
from lib.benchmark.listening import Listener
from lib.benchmark.plan import Cell, Plan, PlannedCell
from lib.config import Settings
from lib.datasets import DataSet
from lib.errors import CvAutomlError
from lib.records import DataSetInfo, RecordStore, RunRecord
from lib.records.schema import column_of
from lib.zoo.devices import choose_device, environment

OPEN_BENCHES = 2


@dataclass(frozen=True)
class PricedCell:
    """A cell to run and the seconds it is expected to take, features included where they are not at hand."""

    cell: Cell
    cost_s: float

    @property
    def data_set(self) -> DataSetInfo:
        """The data set under its way of dividing it."""
        return self.cell.data_set

    @property
    def backbone(self) -> str:
        """The backbone's name."""
        return self.cell.backbone.name

    @property
    def head(self) -> str:
        """The head's name, `linear (fine-tuned)` where the backbone is trained too."""
        return column_of(self.cell.head, self.cell.recipe.finetune)

    @property
    def seed(self) -> int:
        """The seed."""
        return self.cell.seed


class Ordering(Protocol):
    """Which cell runs next."""

    def next(self, remaining: Sequence[PricedCell], finished: Sequence[RunRecord]) -> PricedCell | None:
        """One of `remaining` (never empty), or None: no further cell is to be started."""


class PlanOrder:
    """The cells in the order of the plan, until none is left."""

    def next(self, remaining: Sequence[PricedCell], finished: Sequence[RunRecord]) -> PricedCell | None:
        """The first."""
        return remaining[0]


@dataclass(frozen=True)
class Sweep:
    """What came of a sweep: the records it wrote, in order, what went wrong beside them, and the cells that were not run."""

    records: tuple[RunRecord, ...]
    warnings: tuple[str, ...] = ()
    left: tuple[PricedCell, ...] = ()

    def count(self, status: str) -> int:
        """How many of the written records have a status."""
        return sum(record.status == status for record in self.records)


@dataclass
class Remaining:
    """The cells that are left, and what they cost: features only until a cell of their group has run."""

    cells: list[PlannedCell]
    features_s: dict[tuple[str, str, str], float]

    @classmethod
    def of(cls, plan: Plan) -> Remaining:
        """What the plan left to run."""
        return cls([planned for planned in plan.cells if planned.to_run], dict(plan.features_s))

    def priced(self) -> list[PricedCell]:
        """The cells that are left, at their price of now."""
        return [self.price(planned) for planned in self.cells]

    def price(self, planned: PlannedCell) -> PricedCell:
        """One of the cells that are left, at its price of now."""
        features_s = self.features_s.get(planned.cell.group, 0.0) if planned.needs_features else 0.0
        return PricedCell(planned.cell, planned.estimated_s + features_s)

    def take(self, cell: Cell) -> PricedCell:
        """A cell at its price of now, which is left no longer."""
        planned = next(planned for planned in self.cells if planned.cell is cell)
        priced = self.price(planned)
        self.cells.remove(planned)
        if planned.needs_features:
            self.features_s.pop(cell.group, None)
        return priced


def run_sweep(
    plan: Plan,
    data_sets: Mapping[tuple[str, str], DataSet],
    settings: Settings,
    listener: Listener | None = None,
    ordering: Ordering | None = None,
) -> Sweep:
    """Runs what the plan left to run, in the order of `ordering`. `data_sets`: (name, fingerprint) → data set.

    Raises CvAutomlError where records cannot be written. An interruption loses the running cell alone; done cells cost
    nothing when the command is repeated.
    """
    listener, ordering = listener or Listener(), ordering or PlanOrder()
    require_writable(settings.runs_dir)
    desk = _Desk(data_sets, settings, RecordStore(settings.runs_dir))
    written = [*desk.write_incompatible(plan)]
    finished = [planned.record for planned in plan.cells if planned.state == "done" and planned.record]
    remaining = Remaining.of(plan)
    listener.sweep_starts(plan)
    while remaining.cells and (chosen := ordering.next(remaining.priced(), finished)):
        cell = remaining.take(chosen.cell).cell
        # Another sweep on the same folder may have been here since the plan was made.
        record = find_record(desk.store, cell)
        if record and record.status == "finished":
            listener.cell_skipped(cell)
        else:
            record = desk.run(cell, listener)
            written.append(record)
        finished += [record] if record.status == "finished" else []
    return Sweep(tuple(written), tuple(dict.fromkeys(desk.warnings)), tuple(remaining.priced()))


@dataclass
class _Desk:
    """Runs single cells; the last pairs of data set and backbone stay open, for an order may jump between them."""

    data_sets: Mapping[tuple[str, str], DataSet]
    settings: Settings
    store: RecordStore
    warnings: list[str] = field(default_factory=list)
    benches: dict[tuple[str, str, str], Bench] = field(default_factory=dict)
    with_facts: set[tuple[str, str]] = field(default_factory=set)

    def run(self, cell: Cell, listener: Listener) -> RunRecord:
        listener.cell_starts(cell)
        record = run_cell(cell, self._bench(cell), listener)
        _save(self.store, record)
        listener.cell_ends(cell, record)
        return record

    def _bench(self, cell: Cell) -> Bench:
        group = cell.group
        bench = self.benches.pop(group, None) or Bench(self.data_sets[group[:2]], group[2], self.settings)
        self.benches[group] = bench
        while len(self.benches) > OPEN_BENCHES:
            del self.benches[next(iter(self.benches))]
        if group[:2] not in self.with_facts:
            self.with_facts.add(group[:2])
            self.warnings += write_facts(bench.data_set, self.store)
        return bench

    def write_incompatible(self, plan: Plan) -> Iterator[RunRecord]:
        where = None
        for planned in plan.cells:
            if planned.state == "incompatible" and find_record(self.store, planned.cell) is None:
                where = where or environment(choose_device(self.settings.device))
                record = incompatible_record(planned.cell, planned.reason or "incompatible", where)
                _save(self.store, record)
                yield record


def find_record(store: RecordStore, cell: Cell) -> RunRecord | None:
    """The record of a cell, by the path under which the writer puts it."""
    return store.find(cell.data_set.name, cell.backbone.name, cell.head, cell.seed, cell.key)


def _save(store: RecordStore, record: RunRecord) -> None:
    """Writes a record; raises CvAutomlError with the ways out where there is no room or no right to."""
    try:
        store.write(record)
    except OSError as error:
        raise CvAutomlError(
            f"cannot write the record {store.path_of(record)}: {error.strerror or error}; "
            "what was written before is kept: make room or choose another folder with --runs, then run again"
        ) from error


def require_writable(folder: Path) -> None:
    """Raises CvAutomlError unless records can be written into `folder`: found out before hours are spent."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise CvAutomlError(
            f"cannot write records into {folder}: {error.strerror or error}; choose another folder with --runs"
        ) from error
