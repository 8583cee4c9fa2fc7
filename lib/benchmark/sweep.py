"""The one sweep loop: an ordering says which cell comes next, each record is on disk before the next cell starts.

An ordering is anything with `next(remaining, finished)`: it is asked before every cell with the cells that are left, each at
its price of now, and the finished records of the sweep's data sets, and gives one of `remaining`, or None to stop.
Without one the plan's order stands; `lib.benchmark.budget.Within` asks a policy and stops when time is up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from lib.benchmark.cell_run import Bench, incompatible_record, run_cell
from lib.benchmark.listening import Listener
from lib.benchmark.plan import Cell, Plan, PlannedCell
from lib.config import Settings
from lib.datasets import DataSet
from lib.errors import CvAutomlError
from lib.features.meta import META_FEATURES_VERSION, data_set_facts
from lib.files import require_writable
from lib.inference.models import lacks_model
from lib.records import DataSetFacts, RecordStore, RunRecord
from lib.zoo.devices import choose_device, environment

OPEN_BENCHES = 2


class Ordering(Protocol):
    """Which cell runs next."""

    def next(self, remaining: Sequence[PlannedCell], finished: Sequence[RunRecord]) -> PlannedCell | None:
        """One of `remaining` (never empty), or None: no further cell is to be started."""


@dataclass(frozen=True)
class Sweep:
    """What came of a sweep: the records it wrote, in order, what went wrong beside them, and the cells that were not run."""

    records: tuple[RunRecord, ...]
    warnings: tuple[str, ...] = ()
    left: tuple[PlannedCell, ...] = ()

    def count(self, status: str) -> int:
        """How many of the written records have a status."""
        return sum(record.status == status for record in self.records)


class Remaining:
    """The cells of a plan that are left to run, each at its price of now: features only until a cell of their group has run."""

    def __init__(self, plan: Plan) -> None:
        self.cells = [
            replace(one, features_s=plan.features_s.get(one.cell.group, 0.0) * one.cell.needs_features)
            for one in plan.cells
            if one.to_run
        ]

    def take(self, taken: PlannedCell) -> None:
        """A cell is left no longer, and what it has paid for is paid."""
        self.cells = [
            replace(one, features_s=0.0) if taken.features_s and one.cell.group == taken.cell.group else one
            for one in self.cells
            if one.cell is not taken.cell
        ]


def run_sweep(
    plan: Plan,
    data_sets: Mapping[tuple[str, str], DataSet],
    settings: Settings,
    listener: Listener | None = None,
    ordering: Ordering | None = None,
    measures_latency: bool = True,
) -> Sweep:
    """Runs what the plan left to run, in the order of `ordering`. `data_sets`: (name, fingerprint) → data set. Raises
    CvAutomlError where records cannot be written. An interruption loses the running cell alone; done cells cost nothing when
    the command is repeated."""
    listener = listener or Listener()
    require_writable(settings.runs_dir, "records", "--runs")
    desk = Desk(data_sets, settings, RecordStore(settings.runs_dir), measures_latency)
    written = [*desk.write_incompatible(plan)]
    finished = [planned.record for planned in plan.cells if planned.record]
    remaining = Remaining(plan)
    listener.sweep_starts(plan)
    while remaining.cells:
        chosen = ordering.next(remaining.cells, finished) if ordering else remaining.cells[0]
        if chosen is None:
            break
        remaining.take(chosen)
        record = desk.finished_meanwhile(chosen.cell, listener)
        if record is None:
            record = desk.run(chosen.cell, listener)
            written.append(record)
        finished += [record] if record.status == "finished" else []
    return Sweep(tuple(written), tuple(dict.fromkeys(desk.warnings)), tuple(remaining.cells))


@dataclass
class Desk:
    """Runs single cells; the last pairs of data set and backbone stay open, for an order may jump between them."""

    data_sets: Mapping[tuple[str, str], DataSet]
    settings: Settings
    store: RecordStore
    measures_latency: bool = True
    warnings: list[str] = field(default_factory=list)
    benches: dict[tuple[str, str, str], Bench] = field(default_factory=dict)
    with_facts: set[tuple[str, str]] = field(default_factory=set)

    def finished_meanwhile(self, cell: Cell, listener: Listener) -> RunRecord | None:
        """The finished record of a cell where another sweep on the same folder wrote it since the plan was made."""
        record = find_done(self.store, cell, self.settings)
        if record is None or record.status != "finished":
            return None
        listener.cell_skipped(cell)
        return record

    def run(self, cell: Cell, listener: Listener) -> RunRecord:
        """Runs one cell here and writes its record."""
        listener.cell_starts(cell)
        record = run_cell(cell, self._bench(cell), listener)
        save_record(self.store, record)
        listener.cell_ends(cell, record)
        return record

    def _bench(self, cell: Cell) -> Bench:
        group = cell.group
        bench = self.benches.pop(group, None) or Bench(
            self.data_sets[group[:2]], group[2], self.settings, self.measures_latency
        )
        self.benches[group] = bench
        while len(self.benches) > OPEN_BENCHES:
            del self.benches[next(iter(self.benches))]
        self.know(group[:2])
        return bench

    def know(self, data_set: tuple[str, str]) -> None:
        """Writes the facts of a data set (name, fingerprint) once a sweep, when its first cell is at hand."""
        if data_set not in self.with_facts:
            self.with_facts.add(data_set)
            self.warnings += write_facts(self.data_sets[data_set], self.store)

    def write_incompatible(self, plan: Plan) -> Iterator[RunRecord]:
        """Writes and gives the records of cells that cannot work, where there are none yet."""
        where = None
        for planned in plan.cells:
            if planned.state == "incompatible" and find_record(self.store, planned.cell) is None:
                where = where or environment(choose_device(self.settings.device))
                record = incompatible_record(planned.cell, planned.reason or "incompatible", where)
                save_record(self.store, record)
                yield record


def facts_of(data_set: DataSet, known: Mapping[str, DataSetFacts]) -> DataSetFacts:
    """The known facts of a data set while they tell of these images, labels and folds, and of what is measured today; else new
    ones. Raises DataSetError naming an unreadable image."""
    facts = known.get(data_set.name)
    now = (data_set.fingerprint, data_set.info().split_hash, META_FEATURES_VERSION)
    if facts and (facts.fingerprint, facts.split_hash, facts.meta_features_version) == now:
        return facts
    return data_set_facts(data_set)


def write_facts(data_set: DataSet, store: RecordStore) -> list[str]:
    """Writes the facts where those beside the runs are stale; what is wrong with the images is a sentence, no reason not to train."""
    known = store.read_facts()[0]
    try:
        facts = facts_of(data_set, known)
    except CvAutomlError as error:
        return [f"{data_set.name}: meta-features were not written: {error}"]
    if facts is not known.get(data_set.name):
        store.write_facts(facts)
    return []


def find_record(store: RecordStore, cell: Cell) -> RunRecord | None:
    """The record of a cell, by the path under which the writer puts it."""
    return store.find(cell.data_set.name, cell.backbone.name, cell.head, cell.seed, cell.key)


def find_done(store: RecordStore, cell: Cell, settings: Settings) -> RunRecord | None:
    """As `find_record`, but None for a finished cell whose model is to be kept and is not there: it is trained again."""
    record = find_record(store, cell)
    finished = record is not None and record.status == "finished"
    return None if finished and lacks_model(settings, cell.key, cell.head, cell.backbone) else record


def save_record(store: RecordStore, record: RunRecord) -> None:
    """Writes a record, but over no finished one: same key, same numbers, and only its model was missing. Raises CvAutomlError
    with the ways out where there is no room or no right to."""
    there = store.find(record.data_set.name, record.backbone.name, record.head.name, record.seed, record.key)
    if there and there.status == "finished":
        return
    try:
        store.write(record)
    except OSError as error:
        raise CvAutomlError(
            f"cannot write the record {store.path_of(record)}: {error.strerror or error}; "
            "what was written before is kept: make room or choose another folder with --runs, then run again"
        ) from error
