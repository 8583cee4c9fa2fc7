"""Records that no run wrote are left out and named once, whatever is wrong with them; the rest answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import Run

READERS = (
    ("zoo", "show"),
    ("als", "train", "--epoch=10"),
    ("boosting", "explain", "tiles"),
)


def spoil(runs: Path, *way: Any, value: Any) -> Path:
    """Changes one value of one record, at the end of `way`."""
    path = sorted(runs.glob("strips/*.json"))[0]
    record = json.loads(path.read_text())
    place = record
    for step in way[:-1]:
        place = place[step]
    place[way[-1]] = value
    path.write_text(json.dumps(record))
    return path


SPOILS: dict[str, tuple[tuple[Any, ...], Any]] = {
    "test is a list": (("epochs", "test"), [1]),
    "epochs is a number": (("epochs",), 3),
    "epochs hold text": (("epochs", "train_loss"), "falling"),
    "accuracy above one": (("final", "metrics", "accuracy"), 7.5),
    "accuracy below zero": (("final", "metrics", "accuracy"), -3),
    "accuracy is missing": (("final", "metrics"), {}),
    "schema of another time": (("schema_version",), 99),
    "negative latency": (
        ("latency",),
        dict.fromkeys(("batch1_median_ms", "batch1_p95_ms", "batch32_median_ms", "batch32_p95_ms"), -1.0),
    ),
    "negative seconds": (("timing",), {"training_s": -5.0}),
    "negative parameters": (("backbone", "parameters"), -1),
    "renamed backbone": (("backbone", "name"), "evil/../../x"),
    "renamed data set": (("data_set", "name"), "../../x"),
    "another seed": (("seed",), 7),
    "negative images": (("data_set", "n_images"), -100),
    "standard error not a number": (("final", "standard_error", "accuracy"), "wide"),
}


@pytest.mark.parametrize("spoiled", SPOILS)
def test_a_spoiled_record_is_left_out_and_named_once(run: Run, runs: Path, spoiled: str) -> None:
    way, value = SPOILS[spoiled]
    path = spoil(runs, *way, value=value)
    done = run("zoo", "show").fine(path.name)
    assert (done.out + done.err).replace("\n", "").count(path.name) == 1
    assert "evil" not in done.out


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 5000, b'{"a":' * 3000, b"1e999"]
)
def test_what_is_no_record_stops_nothing(run: Run, runs: Path, content: bytes) -> None:
    (runs / "strips" / "foreign.json").write_bytes(content)
    run("zoo", "show").fine("foreign.json")
    run("als", "train", "--epoch=10").fine("foreign.json")


def test_a_folder_and_a_pipe_named_like_records_stop_nothing(run: Run, runs: Path) -> None:
    import os

    (runs / "strips" / "folder.json").mkdir()
    os.mkfifo(runs / "strips" / "pipe.json")
    run("zoo", "show").fine("pipe.json")


def test_facts_that_are_broken_are_named(run: Run, runs: Path) -> None:
    (runs / "strips" / "dataset.json").write_text('{"name": 3}')
    run("zoo", "show").fine()
    run("als", "train", "--epoch=10").fine()


def test_a_runs_folder_that_is_a_file_gets_a_sentence(run: Run, tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("no folder")
    for script, *arguments in READERS:
        run(script, *arguments).refused("runs")
