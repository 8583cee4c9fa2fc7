"""`als.py complete` and `als.py evaluate` from the command line."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.performance_prediction.score_tables import planted

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "als.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)


@pytest.fixture
def matrix(tmp_path: Path) -> Path:
    table, _ = planted(14, 12)
    path = tmp_path / "scores.csv"
    pd.DataFrame(table.values, index=[f"{i:03d}" for i in range(14)], columns=list(table.columns)).to_csv(
        path
    )
    return path


def test_every_cell_of_the_table_is_written_once_and_measured_ones_are_kept(
    matrix: Path, tmp_path: Path
) -> None:
    out = tmp_path / "completed.csv"
    done = run("complete", "--matrix", matrix, "--out", out, "--seed", 1)
    assert done.returncode == 0, done.stderr
    given = pd.read_csv(matrix, index_col=0, dtype={0: str})
    told = pd.read_csv(out, dtype={"row": str}, float_precision="round_trip")
    assert len(told) == given.size and not told.isna().any(axis=None)
    values = told.pivot(index="row", columns="column", values="value").reindex(
        index=given.index, columns=given.columns
    )
    status = told.pivot(index="row", columns="column", values="status").reindex_like(given)
    measured = given.notna().to_numpy()
    assert ((status == "measured").to_numpy() == measured).all()
    np.testing.assert_allclose(values.to_numpy()[measured], given.to_numpy()[measured], rtol=0, atol=1e-15)
    assert told["value"].between(0, 1).all()
    assert (told["low"] <= told["value"]).all() and (told["value"] <= told["high"]).all()


def test_summary_as_json_is_alone_on_standard_output(matrix: Path, tmp_path: Path) -> None:
    done = run(
        "complete", "--matrix", matrix, "--out", tmp_path / "o.csv", "--completer", "additive", "--json"
    )
    summary = json.loads(done.stdout)
    assert summary["rows"] == 14 and summary["columns"] == 12
    assert summary["measured"] + summary["completed"] == 168
    assert summary["completer"] == "additive"
    assert 0 < summary["held_out_error"] < 0.3


def test_same_seed_writes_the_same_file_in_any_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever order sets come in: names here share words, which is where sets are used."""
    table, _ = planted(14, 12)
    names = [
        f"vit-{size} on {corpus} at {rate}"
        for size in "sml"
        for corpus in ("laion", "webli")
        for rate in "12"
    ]
    matrix, written = tmp_path / "m.csv", []
    pd.DataFrame(table.values, columns=names).to_csv(matrix)
    for hash_seed in ("1", "2"):
        monkeypatch.setenv("PYTHONHASHSEED", hash_seed)
        out = tmp_path / f"{hash_seed}.csv"
        run("complete", "--matrix", matrix, "--out", out, "--completer", "bayesian_mf", "--seed", 3)
        written.append(out.read_bytes())
    assert written[0] == written[1]


def test_fully_measured_table_is_copied(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("set,a,b\n1,0.5,0.25\n2,1,0\n")
    done = run("complete", "--matrix", tmp_path / "m.csv", "--out", tmp_path / "o.csv")
    assert "copied" in done.stdout
    with (tmp_path / "o.csv").open() as lines:
        assert [line["value"] for line in csv.DictReader(lines)] == ["0.5", "0.25", "1.0", "0.0"]


def test_fault_in_the_table_is_one_sentence_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("set,a,b\nsteel,0.5,97\n")
    done = run("complete", "--matrix", tmp_path / "m.csv", "--out", tmp_path / "o.csv")
    assert done.returncode == 2
    assert "row 'steel', column 'b' holds 97" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "o.csv").exists()


def test_unknown_completer_is_refused_before_any_work(matrix: Path, tmp_path: Path) -> None:
    done = run("complete", "--matrix", matrix, "--out", tmp_path / "o.csv", "--completer", "bayes_mf")
    assert done.returncode == 2 and "did you mean bayesian_mf" in done.stderr


def test_evaluate_compares_completers_and_writes_the_numbers(matrix: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    done = run(
        "evaluate", "--matrix", matrix, "--fractions", "0.3,0.5", "--seeds", 2,
        "--completers", "additive,global_mean", "--json", out,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads(out.read_text())
    assert {(line["completer"], line["fraction"]) for line in report["summary"]} == {
        (name, share) for name in ("additive", "global_mean") for share in (0.3, 0.5)
    }
    assert len(report["scores"]) == 8 and report["circumstances"]["date"]
    assert "additive" in done.stdout


def test_evaluate_refuses_shares_that_are_none(matrix: Path) -> None:
    done = run("evaluate", "--matrix", matrix, "--fractions", "30")
    assert done.returncode == 2 and "between 0 and 1" in done.stderr
