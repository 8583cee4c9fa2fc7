"""Remembered records are those of the files, never more, never older ones, and a broken index is as good as none."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from lib.records.index import read_for_answers
from lib.records.schema import GridPoint, RunRecord
from lib.records.store import RecordStore
from tests.records.factory import make_record

RECORDS = [
    make_record(data_set=name, backbone=net, head=head, quality=0.6 + 0.01 * i)
    for i, (name, net, head) in enumerate((d, b, h) for d in "ab" for b in ("m", "n") for h in ("x", "y"))
]


@pytest.fixture
def store(tmp_path: Path) -> RecordStore:
    store = RecordStore(tmp_path / "runs")
    for record in [*RECORDS, make_record(head="z", status="failed", reason="too little memory")]:
        store.write(record)
    return store


def index_of(cache: Path) -> Path:
    (found,) = (cache / "records").glob("*.sqlite")
    return found


def slim(record: RunRecord) -> RunRecord:
    """What is not remembered taken out."""
    update = {"per_class": {}, "confusion": None, "interval": {}}
    final = record.final and record.final.model_copy(update=update)
    return record.model_copy(update={"grid": (), "final": final})


def test_the_second_reading_gives_the_same_records_without_reading_a_file(
    store: RecordStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_for_answers(store, tmp_path)
    monkeypatch.setattr(RecordStore, "read", lambda *_: pytest.fail("read a file that did not change"))
    remembered, broken = read_for_answers(store, tmp_path)
    monkeypatch.undo()
    assert remembered == [slim(record) for record in store.read_all()[0]]
    assert not broken
    first, full = remembered[0], store.read_all()[0][0]
    assert [first.quality(epoch) for epoch in (1, 5, 10)] == [full.quality(epoch) for epoch in (1, 5, 10)]
    assert first.fold_qualities() == full.fold_qualities()
    assert first.recipe.model_dump_json() == full.recipe.model_dump_json()
    assert first.epochs[-1].test == full.epochs[-1].test
    assert first.epochs[:2] == full.epochs[:2]


def test_changed_removed_new_and_broken_files_are_noticed(store: RecordStore, tmp_path: Path) -> None:
    read_for_answers(store, tmp_path)
    changed = RECORDS[0].model_copy(
        update={"notes": ("again",), "grid": (GridPoint(settings={}, validation=0.5),)}
    )
    store.write(changed)
    store.path_of(RECORDS[1]).unlink()
    store.path_of(RECORDS[2]).write_text("{")
    store.write(make_record(data_set="c"))
    records, broken = read_for_answers(store, tmp_path)
    assert records == [slim(record) for record in store.read_all()[0]]
    assert [one.path for one in broken] == [store.path_of(RECORDS[2])]
    with sqlite3.connect(index_of(tmp_path)) as base:
        assert base.execute("SELECT count(*) FROM records").fetchone()[0] == len(records)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE records SET own = replace(own, '0.6', '0.9')",
        "UPDATE parts SET text = replace(text, '100', '200')",
        "DELETE FROM parts",
        "PRAGMA user_version = 0",
        "DROP TABLE records",
    ],
)
def test_an_index_that_was_changed_is_not_believed(store: RecordStore, tmp_path: Path, change: str) -> None:
    before = read_for_answers(store, tmp_path)[0]
    with sqlite3.connect(index_of(tmp_path)) as base:
        base.execute(change)
    assert read_for_answers(store, tmp_path)[0] == before


def test_a_torn_index_and_a_cache_that_is_no_folder_do_not_matter(store: RecordStore, tmp_path: Path) -> None:
    before = read_for_answers(store, tmp_path)[0]
    index_of(tmp_path).write_bytes(b"no data base at all, " * 100)
    assert [r.key for r in read_for_answers(store, tmp_path)[0]] == [r.key for r in before]
    assert read_for_answers(store, tmp_path)[0] == before
    (tmp_path / "file").write_text("")
    assert len(read_for_answers(store, tmp_path / "file")[0]) == len(before)
    assert len(read_for_answers(store, None)[0]) == len(before)
