"""The store: atomic, tolerant, quick."""

import json
from pathlib import Path

import pytest

from lib.errors import RecordError
from lib.records import DataSetFacts, FinalMetrics, RecordStore, key_of, read_record
from tests.records.factory import make_record


def test_a_written_record_reads_back_equal(tmp_path: Path) -> None:
    record = make_record()
    path = RecordStore(tmp_path).write(record)
    again = read_record(path)
    assert again.model_copy(update={"epochs": ()}) == record.model_copy(update={"epochs": ()})
    assert again.quality(3) == pytest.approx(record.quality(3), abs=1e-5)


def test_epochs_survive_as_columns_also_where_a_metric_is_missing(tmp_path: Path) -> None:
    record = make_record()
    first = record.epochs[0].model_copy(update={"test": {}, "validation": {"accuracy": 0.5}})
    record = record.model_copy(update={"epochs": (first, *record.epochs[1:])})
    again = read_record(RecordStore(tmp_path).write(record))
    assert [set(e.test) for e in again.epochs] == [set(e.test) for e in record.epochs]
    assert again.epochs[0].validation == {"accuracy": 0.5}


def test_metrics_a_class_survive_as_columns(tmp_path: Path) -> None:
    record = make_record()
    per_class = {"a": {"f1": 0.5, "support": 3.0}, "class": {"f1": 0.25}}
    final = FinalMetrics(metrics={"accuracy": 0.8}, per_class=per_class)
    again = read_record(RecordStore(tmp_path).write(record.model_copy(update={"final": final})))
    assert again.final is not None and again.final.per_class == per_class


def test_columns_of_different_lengths_are_a_broken_record(tmp_path: Path) -> None:
    path = RecordStore(tmp_path).write(make_record())
    values = json.loads(path.read_text())
    values["epochs"]["test"]["accuracy"].pop()
    path.write_text(json.dumps(values))
    with pytest.raises(RecordError, match="different lengths"):
        read_record(path)


def test_the_writer_and_the_check_for_done_use_one_path(tmp_path: Path) -> None:
    store, record = RecordStore(tmp_path), make_record()
    assert store.find("strips", "net_a", "linear", 0, record.key) is None
    store.write(record)
    found = store.find("strips", "net_a", "linear", 0, record.key)
    assert found is not None and found.key == record.key


def test_broken_records_are_skipped_and_named(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    good = store.write(make_record())
    torn = good.with_name("torn.json")
    torn.write_bytes(good.read_bytes()[:200])
    (good.parent / "foreign.json").write_text('{"hello": 1}')
    (good.parent / "binary.json").write_bytes(b"\xff\xfe\x00")
    records, broken = store.read_all()
    assert len(records) == 1
    assert {b.path.name for b in broken} == {"torn.json", "foreign.json", "binary.json"}
    assert all(b.reason for b in broken)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"seed": 3}, "is not that of its content"),
        ({"schema_version": 1}, "schema_version"),
        ({"final": {"metrics": {"accuracy": 1.2}}}, "accuracy is 1.2, expected 0 to 1"),
    ],
)
def test_a_record_that_no_run_has_written_is_left_out_and_named(
    tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    store = RecordStore(tmp_path)
    path = store.write(make_record())
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    records, broken = store.read_all()
    assert not records
    assert reason in broken[0].reason


def test_rounding_leaves_the_key_of_a_record_as_it_was(tmp_path: Path) -> None:
    recipe = {"learning_rate": 1.23456789e-3, "options": {"k": 3}, "grid": {"weight_decay": (0.0, 1e-4)}}
    record = make_record(recipe_info=recipe)
    assert read_record(RecordStore(tmp_path).write(record)).recipe == record.recipe


def test_a_half_written_file_is_never_read(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    good = store.write(make_record())
    (good.parent / ".half.tmp").write_text("{")
    records, broken = store.read_all()
    assert (len(records), len(broken)) == (1, 0)


def test_a_failed_write_leaves_the_old_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = RecordStore(tmp_path)
    path = store.write(make_record())
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        store.write(make_record(quality=0.1))
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_ten_thousand_records_are_read_with_the_broken_one_named(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    first = make_record()
    text = store.write(first).read_text()
    for number in range(1, 10_000):
        other = first.model_copy(update={"seed": number})
        other = other.model_copy(update={"key": key_of(other)})
        same = text.replace('"seed":0', f'"seed":{number}').replace(first.key, other.key)
        store.path_of(other).write_text(same if number > 1 else "{")
    records, broken = store.read_all()
    assert (len(records), len(broken)) == (9_999, 1)


def test_a_folder_without_records_is_empty_not_an_error(tmp_path: Path) -> None:
    assert RecordStore(tmp_path / "absent").read_all() == ([], [])


def test_facts_lie_beside_the_runs_and_are_no_run(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    store.write_facts(
        DataSetFacts(name="strips", domain="industrial", task="classification", meta_features={"n": 3.0})
    )
    assert store.read_all() == ([], [])
    facts, broken = store.read_facts()
    assert facts["strips"].meta_features == {"n": 3.0} and not broken


def test_names_cannot_leave_the_folder(tmp_path: Path) -> None:
    path = RecordStore(tmp_path / "runs").write(make_record(data_set="../../outside", backbone="hub/net"))
    assert path.resolve().is_relative_to((tmp_path / "runs").resolve())


def test_reading_one_torn_record_says_which_file(tmp_path: Path) -> None:
    path = tmp_path / "torn.json"
    path.write_text('{"key": ')
    with pytest.raises(RecordError, match=r"torn\.json"):
        read_record(path)
