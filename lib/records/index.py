"""Run records as answers need them, remembered in the cache; a file whose size or time of change is another is read anew."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, TypeVar, overload

from pydantic_core import from_json

from lib.files import short_hash
from lib.frozen import Frozen
from lib.records.columns import columns_of_epochs, epochs_of_columns
from lib.records.schema import (
    BackboneInfo,
    DataSetInfo,
    Environment,
    EpochEntry,
    FinalMetrics,
    FoldResult,
    HeadInfo,
    Latency,
    Recipe,
    RunRecord,
    Timing,
)
from lib.records.store import BrokenRecord, RecordStore, without_collection

INDEX_VERSION = 1
"""Raised whenever the same files give other rows, or other files count as records."""

_SHARED: Mapping[str, type[Frozen]] = {
    "data_set": DataSetInfo,
    "backbone": BackboneInfo,
    "recipe": Recipe,
}
_NO_RATES = {"train_loss": None, "learning_rate": None}
_LEFT_OUT: dict[str, Any] = {"per_class": {}, "confusion": None, "interval": {}}
_TABLES = """
CREATE TABLE IF NOT EXISTS records (file TEXT PRIMARY KEY, stamp TEXT, seal TEXT, shared TEXT, own TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS parts (hash TEXT PRIMARY KEY, text TEXT) WITHOUT ROWID;
"""
Row = tuple[str, str, str, str, str]
M = TypeVar("M", bound=Frozen)


def read_for_answers(
    store: RecordStore, cache_dir: Path | None
) -> tuple[list[RunRecord], list[BrokenRecord]]:
    """As `store.read_all`, the records without grid, confusion, numbers a class and bootstrap intervals. What was read once is remembered
    below `cache_dir` with size and time of change of its file; an index that is broken, of another version, changed by other
    hands or not writable is as good as none."""
    if cache_dir is not None:
        index = cache_dir / "records" / f"{short_hash(os.fsencode(store.folder.resolve()))}.sqlite"
        try:
            return _through(index, store)
        except (sqlite3.Error, OSError):
            with suppress(OSError):
                index.unlink()
    records, broken = store.read_all()
    return [_slim(record) for record in records], broken


def _slim(record: RunRecord) -> RunRecord:
    final = record.final and record.final.model_copy(update=_LEFT_OUT)
    return record.model_copy(update={"grid": (), "final": final})


def _through(index: Path, store: RecordStore) -> tuple[list[RunRecord], list[BrokenRecord]]:
    index.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(index, timeout=1.0)) as base, without_collection():
        _prepare(base)
        known = {row[0]: row for row in base.execute("SELECT file, stamp, seal, shared, own FROM records")}
        remembered = _Remembered(dict(base.execute("SELECT hash, text FROM parts")))
        records: list[RunRecord] = []
        broken: list[BrokenRecord] = []
        changed: list[tuple[str, str, RunRecord]] = []
        for file, stamp in _stamped(store):
            record = remembered.record(known.get(file), stamp)
            read = record or store.read(store.folder / file)
            if isinstance(read, BrokenRecord):
                broken.append(read)
                continue
            known.pop(file, None)
            records.append(record or _slim(read))
            if record is None:
                changed.append((file, stamp, read))
        _write(base, changed, known)
    return records, broken


def _prepare(base: sqlite3.Connection) -> None:
    base.execute("PRAGMA synchronous=OFF")
    if base.execute("PRAGMA user_version").fetchone()[0] != INDEX_VERSION:
        base.executescript(
            f"DROP TABLE IF EXISTS records; DROP TABLE IF EXISTS parts; {_TABLES} PRAGMA user_version={INDEX_VERSION};"
        )


def _stamped(store: RecordStore) -> Iterator[tuple[str, str]]:
    folder = str(store.folder)
    for file in store.files():
        try:
            status = os.stat(f"{folder}/{file}")
            yield file, f"{status.st_size}:{status.st_mtime_ns}"
        except OSError:
            yield file, "unreadable"


def _write(
    base: sqlite3.Connection, changed: Sequence[tuple[str, str, RunRecord]], gone: Mapping[str, Row]
) -> None:
    if not changed and not gone:
        return
    with base:
        base.executemany("DELETE FROM records WHERE file = ?", [(file,) for file in gone])
        for file, stamp, record in changed:
            row, parts = _row(file, stamp, record)
            base.executemany("INSERT OR IGNORE INTO parts VALUES (?, ?)", parts.items())
            base.execute("INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?)", row)


def _row(file: str, stamp: str, record: RunRecord) -> tuple[Row, dict[str, str]]:
    """The row of a record, and its shared parts by their hashes."""
    texts = [getattr(record, name).model_dump_json() for name in _SHARED]
    hashes = [short_hash(text) for text in texts]
    rest = record.model_dump_json(
        exclude={**dict.fromkeys((*_SHARED, "grid", "epochs"), True), "final": set(_LEFT_OUT)}
    )
    epochs = json.dumps(columns_of_epochs(record.epochs), separators=(",", ":"))
    shared, own = " ".join(hashes), f'{rest[:-1]},"epochs":{epochs}}}'
    return (file, stamp, _seal(file, stamp, shared, own), shared, own), dict(zip(hashes, texts, strict=True))


def _seal(*texts: str) -> str:
    return short_hash("\n".join(texts))


class _Remembered:
    """Rows back into records: validated when they were written, so put together without asking again."""

    def __init__(self, parts: Mapping[str, str]) -> None:
        self._parts = parts
        self._made: dict[tuple[str, str], Frozen] = {}

    def record(self, row: Row | None, stamp: str) -> RunRecord | None:
        """None where there is no row, the file changed since, or the row was changed."""
        if row is None or row[1] != stamp or row[2] != _seal(row[0], row[1], *row[3:]):
            return None
        shared = self._shared(row[3])
        return None if shared is None else _record(from_json(row[4]), shared)

    def _shared(self, hashes: str) -> dict[str, Any] | None:
        try:
            return {name: self._part(name, one) for name, one in zip(_SHARED, hashes.split(" "), strict=True)}
        except (KeyError, ValueError):
            return None

    def _part(self, name: str, one: str) -> Frozen:
        """Raises KeyError or ValueError (as ValidationError is) where it is not there, or not what was written."""
        if (name, one) not in self._made:
            if short_hash(text := self._parts[one]) != one:
                raise ValueError("changed")
            self._made[name, one] = _SHARED[name].model_validate_json(text)
        return self._made[name, one]


class _Rows(Sequence[M]):
    """A tuple of models that are made when they are asked for: most of thousands never are."""

    __slots__ = ("_model", "_rows")

    def __init__(self, model: type[M], rows: list[dict[str, Any]] | dict[str, Any]) -> None:
        self._model, self._rows = model, rows

    def __len__(self) -> int:
        return len(self._rows["epoch"] if isinstance(self._rows, dict) else self._rows)

    @overload
    def __getitem__(self, place: int) -> M: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[M, ...]: ...
    def __getitem__(self, place: int | slice) -> M | tuple[M, ...]:
        if isinstance(self._rows, dict):
            self._rows = [_NO_RATES | row for row in epochs_of_columns(self._rows)]
        if isinstance(place, slice):
            return tuple(self)[place]
        return _made(self._model, self._rows[place])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Rows | tuple) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]


def _record(own: dict[str, Any], shared: Mapping[str, Any]) -> RunRecord:
    final, latency = own["final"], own["latency"]
    own |= shared
    own["head"] = _made(HeadInfo, own["head"])
    own["epochs"], own["folds"] = _Rows(EpochEntry, own["epochs"]), _Rows(FoldResult, own["folds"])
    own["final"] = None if final is None else _made(FinalMetrics, final | _LEFT_OUT)
    own["timing"], own["environment"] = _made(Timing, own["timing"]), _made(Environment, own["environment"])
    own["latency"] = None if latency is None else _made(Latency, latency)
    own["notes"], own["grid"] = tuple(own["notes"]), ()
    return _made(RunRecord, own)


def _made(model: type[M], values: dict[str, Any]) -> M:
    """What `model_construct` gives where every field is named, in a tenth of its time."""
    made = model.__new__(model)
    object.__setattr__(made, "__dict__", values)
    object.__setattr__(made, "__pydantic_fields_set__", set())
    object.__setattr__(made, "__pydantic_extra__", None)
    object.__setattr__(made, "__pydantic_private__", None)
    return made
