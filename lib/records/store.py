"""The only hands on data/runs: atomic writes, quick and tolerant reads."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lib.errors import RecordError
from lib.files import write_atomically
from lib.records.columns import columns_of_classes, columns_of_epochs
from lib.records.keys import key_of
from lib.records.schema import METRICS, DataSetFacts, RunRecord

FACTS_FILE = "dataset.json"


@dataclass(frozen=True)
class BrokenRecord:
    """A file that is no record, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class RecordStore:
    """Run records below one folder: `<folder>/<data set>/<backbone>__<head>__<seed>__<key>.json`."""

    folder: Path

    def path_of(self, record: RunRecord) -> Path:
        """Where `record` is or will be written; the check "is this cell done?" uses the same name."""
        return self.cell_path(
            record.data_set.name, record.backbone.name, record.head.name, record.seed, record.key
        )

    def cell_path(self, data_set: str, backbone: str, head: str, seed: int, key: str) -> Path:
        """The file of one cell of the benchmark."""
        return self.folder / _safe(data_set) / f"{_safe(backbone)}__{_safe(head)}__seed{seed}__{key}.json"

    def write(self, record: RunRecord) -> Path:
        """Writes the record to a temporary name, flushes it to disk and renames it; returns its path."""
        path = self.path_of(record)
        write_atomically(path, _compact_json(record))
        return path

    def write_facts(self, facts: DataSetFacts) -> Path:
        """Writes a data set's card and meta-features beside its runs."""
        path = self.folder / _safe(facts.name) / FACTS_FILE
        write_atomically(path, facts.model_dump_json(indent=1) + "\n")
        return path

    def find(self, data_set: str, backbone: str, head: str, seed: int, key: str) -> RunRecord | None:
        """The record of one cell, or None where there is none that can be read."""
        path = self.cell_path(data_set, backbone, head, seed, key)
        if not path.is_file():
            return None
        try:
            return read_record(path)
        except RecordError:
            return None

    def read_all(
        self, statuses: tuple[str, ...] = ("finished", "failed", "incompatible")
    ) -> tuple[list[RunRecord], list[BrokenRecord]]:
        """All records with one of `statuses`, sorted by path, and what could not be read. Never raises for a broken file."""
        records: list[RunRecord] = []
        broken: list[BrokenRecord] = []
        for path in self._record_paths():
            try:
                record = read_record(path)
            except RecordError as error:
                broken.append(BrokenRecord(path, str(error)))
                continue
            if record.status in statuses:
                records.append(record)
        return records, broken

    def read_facts(self) -> tuple[dict[str, DataSetFacts], list[BrokenRecord]]:
        """Data set name → facts, and what could not be read."""
        facts: dict[str, DataSetFacts] = {}
        broken: list[BrokenRecord] = []
        for path in sorted(self.folder.glob(f"*/{FACTS_FILE}")):
            try:
                entry = DataSetFacts.model_validate_json(path.read_bytes())
            except (OSError, ValidationError) as error:
                broken.append(BrokenRecord(path, _first_problem(error)))
                continue
            facts[entry.name] = entry
        return facts, broken

    def _record_paths(self) -> Iterator[Path]:
        for data_set in sorted(self.folder.glob("*/")):
            with os.scandir(data_set) as entries:
                names = sorted(e.name for e in entries if e.name.endswith(".json") and e.name != FACTS_FILE)
            yield from (data_set / name for name in names if not name.startswith("."))


def read_record(path: Path) -> RunRecord:
    """One run record; raises RecordError with the reason when the file is torn, foreign, breaks the schema or was changed."""
    try:
        record = RunRecord.model_validate_json(path.read_bytes())
    except (OSError, KeyError, TypeError, IndexError, ValueError) as error:
        raise RecordError(f"{path}: {_first_problem(error)}") from error
    if problem := _contradiction(record):
        raise RecordError(f"{path}: {problem}")
    return record


def _contradiction(record: RunRecord) -> str | None:
    """What no run writes: a key that is not its content's, a metric that no test part can have."""
    if key_of(record) != record.key:
        return f"key {record.key} is not that of its content: it was changed, or written by another version"
    for values in _measured(record):
        for metric in METRICS[record.data_set.task]:
            if not 0 <= values.get(metric, 0.0) <= 1:
                return f"{metric} is {values[metric]}, expected 0 to 1"
    return None


def _measured(record: RunRecord) -> Iterator[Mapping[str, float]]:
    for entry in record.epochs:
        yield from (entry.validation, entry.test)
    for fold in record.folds:
        yield from (fold.validation, fold.test)
    if record.final:
        yield record.final.metrics


def _compact_json(record: RunRecord) -> str:
    """JSON with floats to 5 significant digits, curves as columns, defaults left out: thousands of records fit into git.

    The recipe stays exact: the key is made of it.
    """
    values = record.model_dump(mode="json", exclude_none=True, exclude_defaults=True, exclude={"epochs"})
    values = {"schema_version": record.schema_version, **values, "epochs": columns_of_epochs(record.epochs)}
    recipe = values.pop("recipe")
    if record.final and record.final.per_class:
        values["final"]["per_class"] = columns_of_classes(record.final.per_class)
    return (
        json.dumps({**_rounded(values), "recipe": recipe}, separators=(",", ":"), ensure_ascii=False) + "\n"
    )


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return value


def _safe(name: str) -> str:
    return name.replace("/", "_").replace("\\", "_").lstrip(".") or "_"


def _first_problem(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        return f"{place}: {first['msg']}" if place else first["msg"]
    return str(error)
