"""`als.py train` as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from lib.errors import TooLittleDataError
from lib.records import RecordStore
from scripts.als import als
from tests.performance_prediction.synthetic_zoo import write_zoo, zoo_runs

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    write_zoo(RecordStore(folder), *zoo_runs(3, seeds=1))
    (folder / "set0" / "torn.json").write_text('{"schema_version": 1, "key"')
    return folder


def als_train(*options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "scripts/als.py", "train", *map(str, options)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_prints_the_table_and_the_file_names_last(runs: Path, tmp_path: Path) -> None:
    done = als_train("--epoch=10", "--task=classification", "--runs", runs, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.strip().splitlines()
    written = [Path(line.removeprefix("wrote ")) for line in lines[-5:]]
    assert {path.suffix for path in written} == {".npz", ".csv", ".json", ".md", ".png"}
    assert all(path.is_file() for path in written)
    assert "torn.json" in done.stdout
    assert "held-out error" in done.stdout


def test_json_is_the_report_and_nothing_else(runs: Path, tmp_path: Path) -> None:
    options = ["train", "--domain=medical", "--json", "--runs", str(runs), "--out", str(tmp_path)]
    report = json.loads(CliRunner().invoke(als, options, catch_exceptions=False).stdout)
    assert report["data_sets"] == ["set1"]
    assert report["epoch"] == 5  # the default of config.yaml


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("--domain=nowhere", "domains with runs: aerophoto, industrial, medical"),
        ("--epoch=99", "epochs 1 to 10"),
        ("--task=segmentation", "no finished segmentation run"),
    ],
)
def test_too_little_data_is_one_sentence(runs: Path, tmp_path: Path, option: str, sentence: str) -> None:
    with pytest.raises(TooLittleDataError, match=sentence):
        CliRunner().invoke(
            als, ["train", option, "--runs", str(runs), "--out", str(tmp_path)], catch_exceptions=False
        )


def test_an_error_is_printed_without_a_traceback(tmp_path: Path) -> None:
    done = als_train("--runs", tmp_path / "none", "--out", tmp_path)
    assert done.returncode == 2
    assert done.stderr.strip().startswith("error: there is no finished run")
