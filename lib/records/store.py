"""The key of a run, and the only hands on data/runs: atomic writes, quick and tolerant reads."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lib.errors import RecordError
from lib.files import short_hash, write_atomically
from lib.records.columns import columns_of_classes, columns_of_epochs
from lib.records.schema import (
    METRICS,
    SCHEMA_VERSION,
    BackboneInfo,
    DataSetFacts,
    DataSetInfo,
    Recipe,
    RunRecord,
)

FACTS_FILE = "dataset.json"


def run_key(
    data_set: DataSetInfo, backbone: BackboneInfo, head: str, head_version: int, recipe: Recipe, seed: int
) -> str:
    """Hash (16 hex digits) of what decides a run's result: same key, same numbers."""
    deciding: dict[str, Any] = {
        "fingerprint": data_set.fingerprint,
        "split": [data_set.split, data_set.split_hash],
        "task": data_set.task,
        "classes": data_set.classes,
        "backbone": [backbone.name, backbone.weights_hash, backbone.input_hash],
        "head": [head, head_version],
        "recipe": recipe.model_dump(mode="json"),
        "seed": seed,
        "schema": SCHEMA_VERSION,
    }
    return short_hash(json.dumps(deciding, sort_keys=True))


def key_of(record: RunRecord) -> str:
    """The key that a record's content gives: another one than its own means it was changed by hand."""
    return run_key(
        record.data_set, record.backbone, record.head.name, record.head.version, record.recipe, record.seed
    )


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
        names = record.data_set.name, record.backbone.name, record.head.name
        return self._cell_path(*names, record.seed, record.key)

    def _cell_path(self, data_set: str, backbone: str, head: str, seed: int, key: str) -> Path:
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
        try:
            return read_record(self._cell_path(data_set, backbone, head, seed, key))
        except RecordError:
            return None

    def read_all(
        self, statuses: tuple[str, ...] = ("finished", "failed", "incompatible")
    ) -> tuple[list[RunRecord], list[BrokenRecord]]:
        """All records with one of `statuses`, sorted by path, and what could not be read. Never raises for a broken file."""
        with without_collection():
            found = [self.read(path) for path in self.paths()]
        broken = [one for one in found if isinstance(one, BrokenRecord)]
        return [one for one in found if isinstance(one, RunRecord) and one.status in statuses], broken

    def read(self, path: Path) -> RunRecord | BrokenRecord:
        """The record of one of `paths`, or why it is none."""
        try:
            record = read_record(path)
        except RecordError as error:
            return BrokenRecord(path, str(error).removeprefix(f"{path}: "))
        renamed = "file or folder were renamed, or the names in it were changed"
        return record if path == self.path_of(record) else BrokenRecord(path, renamed)

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

    def paths(self) -> Iterator[Path]:
        """Every file that has a record's name, sorted."""
        return (self.folder / file for file in self.files())

    def files(self) -> Iterator[str]:
        """The same, relative to the folder."""
        for data_set in sorted(self.folder.glob("*/")):
            with os.scandir(data_set) as entries:
                names = sorted(e.name for e in entries if e.name.endswith(".json") and e.name != FACTS_FILE)
            yield from (f"{data_set.name}/{name}" for name in names if not name.startswith("."))


@contextmanager
def without_collection() -> Iterator[None]:
    """Records hold no cycles: looking for some again and again while thousands are read takes as long as reading them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def read_record(path: Path) -> RunRecord:
    """One run record; raises RecordError with the reason when the file is torn, foreign, breaks the schema or was changed."""
    try:
        if not path.is_file():
            raise RecordError("no regular file")
        record = RunRecord.model_validate_json(path.read_bytes())
    except (OSError, KeyError, TypeError, IndexError, ValueError, AttributeError, RecordError) as error:
        raise RecordError(f"{path}: {_first_problem(error)}") from error
    if problem := _contradiction(record):
        raise RecordError(f"{path}: {problem}")
    return record


def _contradiction(record: RunRecord) -> str | None:
    """What no run writes: a key that is not its content's, a metric that no test part can have."""
    if key_of(record) != record.key:
        return f"key {record.key} is not that of its content: it was changed, or written by another version"
    if record.final and record.metric_name not in record.final.metrics:
        return f"final.metrics holds no {record.metric_name}"
    measured = [values for entry in record.epochs for values in (entry.validation, entry.test)]
    measured += [values for fold in record.folds for values in (fold.validation, fold.test)]
    for values in (*measured, *([record.final.metrics] if record.final else [])):
        for metric in METRICS[record.data_set.task]:
            if not 0 <= values.get(metric, 0.0) <= 1:
                return f"{metric} is {values[metric]}, expected 0 to 1"
    return None


def _compact_json(record: RunRecord) -> str:
    """JSON with floats to 5 significant digits, curves as columns, defaults left out: thousands of records fit into git. The
    recipe stays exact: the key is made of it."""
    values = record.model_dump(mode="json", exclude_none=True, exclude_defaults=True, exclude={"epochs"})
    values = {"schema_version": record.schema_version, **values, "epochs": columns_of_epochs(record.epochs)}
    recipe = values.pop("recipe")
    if record.final and record.final.per_class:
        values["final"]["per_class"] = columns_of_classes(record.final.per_class)
    values = {**_rounded(values), "recipe": recipe}
    return json.dumps(values, separators=(",", ":"), ensure_ascii=False) + "\n"


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
