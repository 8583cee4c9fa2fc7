"""The sweep: every cell that is not done, each record on disk before the next cell starts; one failure stops nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from lib.benchmark.cell_run import Bench, incompatible_record, reason_of, run_cell
from lib.benchmark.listening import Listener
from lib.benchmark.plan import Cell, Plan, PlannedCell
from lib.config import Settings
from lib.datasets import DataSet
from lib.errors import CvAutomlError
from lib.records import RecordStore, RunRecord
from lib.zoo.devices import choose_device, environment

Group = tuple[str, str, str]


@dataclass(frozen=True)
class Sweep:
    """What came of a sweep: the records it wrote, in order, and what went wrong beside them."""

    records: tuple[RunRecord, ...]
    warnings: tuple[str, ...] = ()

    def count(self, status: str) -> int:
        """How many of the written records have a status."""
        return sum(record.status == status for record in self.records)


def run_sweep(
    plan: Plan,
    data_sets: Mapping[tuple[str, str], DataSet],
    settings: Settings,
    listener: Listener | None = None,
) -> Sweep:
    """Runs what the plan left to run. `data_sets`: (name, fingerprint) → data set.

    Raises CvAutomlError where records cannot be written. An interruption loses the running cell alone.
    """
    listener = listener or Listener()
    store = RecordStore(settings.runs_dir)
    require_writable(settings.runs_dir)
    records = [*_write_incompatible(plan, store, settings)]
    warnings = []
    listener.sweep_starts(plan)
    to_run = (planned.cell for planned in plan.cells if planned.to_run)
    for group, cells in groupby(to_run, key=lambda cell: cell.group):
        bench = Bench(data_sets[group[:2]], group[2], settings)
        warnings += write_facts(bench.data_set, store)
        records += _run_group(cells, bench, store, listener)
        warnings += write_landmarks(bench, store)
    return Sweep(tuple(records), tuple(dict.fromkeys(warnings)))


def _run_group(
    cells: Iterable[Cell], bench: Bench, store: RecordStore, listener: Listener
) -> list[RunRecord]:
    records = []
    for cell in cells:
        # Another sweep on the same folder may have been here since the plan was made.
        done = find_record(store, cell)
        if done and done.status == "finished":
            listener.cell_skipped(cell)
            continue
        listener.cell_starts(cell)
        record = run_cell(cell, bench, listener)
        save_record(store, record)
        records.append(record)
        listener.cell_ends(cell, record)
    return records


def find_record(store: RecordStore, cell: Cell) -> RunRecord | None:
    """The record of a cell, by the path under which the writer puts it."""
    return store.find(cell.data_set.name, cell.backbone.name, cell.head, cell.seed, cell.key)


def _write_incompatible(plan: Plan, store: RecordStore, settings: Settings) -> Iterable[RunRecord]:
    where = None
    for planned in plan.cells:
        if planned.state == "incompatible" and find_record(store, planned.cell) is None:
            where = where or environment(choose_device(settings.device))
            record = incompatible_record(planned.cell, _reason(planned), where)
            save_record(store, record)
            yield record


def _reason(planned: PlannedCell) -> str:
    return planned.reason or "incompatible"


def write_facts(data_set: DataSet, store: RecordStore) -> list[str]:
    """The card and the meta-features of a data set, once; a problem with them is no reason not to train."""
    from lib.features.meta import data_set_facts

    known = store.read_facts()[0].get(data_set.name)
    if known and known.fingerprint == data_set.fingerprint and known.meta_features:
        return []
    try:
        store.write_facts(data_set_facts(data_set))
    except Exception as error:
        return [f"{data_set.name}: meta-features were not written: {reason_of(error)}"]
    return []


def write_landmarks(bench: Bench, store: RecordStore) -> list[str]:
    """Landmarks with the bench's backbone where its features are at hand: they cost a second then."""
    from lib.benchmark.landmarking import fill_landmarks
    from lib.zoo.probing import PROBES, has_features, unprobeable

    data_set, settings = bench.data_set, bench.settings
    if bench.backbone_name not in PROBES or settings.weights == "random" or unprobeable(data_set):
        return []
    try:
        if has_features(data_set, bench.backbone, settings):
            fill_landmarks(data_set, store, settings, [bench.backbone_name])
    except Exception as error:
        return [f"{data_set.name}: landmarks were not written: {reason_of(error)}"]
    return []


def save_record(store: RecordStore, record: RunRecord) -> Path:
    """Writes a record; raises CvAutomlError with the ways out where there is no room or no right to."""
    try:
        return store.write(record)
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
