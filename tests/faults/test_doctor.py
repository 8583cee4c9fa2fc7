"""`zoo.py doctor` names what is unsound, and moves it aside whole."""

from __future__ import annotations

import json
from pathlib import Path

from lib.records import RecordStore
from tests.faults.conftest import Run
from tests.records.factory import make_record


def test_a_sound_house_has_no_findings(run: Run, runs: Path) -> None:
    for path in runs.rglob("*.json"):
        record = json.loads(path.read_text())
        assert record["head"]["name"] in ("linear", "knn")
    found = json.loads(run("zoo", "doctor", "--json").fine().out)
    assert {one["state"] for one in found} <= {"stale"}  # made-up heads are of version 1


def test_what_is_unsound_is_named_with_its_mend_and_moved_aside(run: Run, runs: Path, tmp_path: Path) -> None:
    torn = runs / "strips" / "torn.json"
    torn.write_text("{")
    (runs / "strips" / ".half.tmp").write_text("{")
    old = RecordStore(runs).write(make_record("strips", "net_c", "no_such_head"))
    cache, out = tmp_path / "cache", tmp_path / "out"
    for folder in (cache / "features", out):
        folder.mkdir(parents=True)
    (cache / "features" / "x.safetensors").write_bytes(b"torn")
    (cache / "x.json").write_bytes(b"[")
    (out / "model.cbm").write_bytes(b"trees")
    (out / "broken.json").write_bytes(b"{")
    found = {Path(one["path"]).name: one for one in json.loads(run("zoo", "doctor", "--json").fine().out)}
    expected = {
        "torn.json": "broken", ".half.tmp": "foreign", old.name: "stale", "x.safetensors": "broken",
        "x.json": "broken", "model.cbm": "foreign", "broken.json": "broken",
    }  # fmt: skip
    assert {name: found[name]["state"] for name in expected} == expected
    assert all(one["problem"] and one["needs"] for one in found.values())
    run("zoo", "doctor", "--move-to", tmp_path / "aside").fine("torn.json")
    assert (tmp_path / "aside" / "runs" / "strips" / "torn.json").read_text() == "{"
    assert json.loads(run("zoo", "doctor", "--json").fine().out) == []


def test_nothing_that_was_moved_aside_is_overwritten(run: Run, runs: Path, tmp_path: Path) -> None:
    for content in ("{", "["):
        (runs / "strips" / "torn.json").write_text(content)
        done = run("zoo", "doctor", "--move-to", tmp_path / "aside")
    done.refused("torn.json")
    assert (tmp_path / "aside" / "runs" / "strips" / "torn.json").read_text() == "{"
