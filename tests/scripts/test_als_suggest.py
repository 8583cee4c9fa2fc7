"""`als.py suggest` and `als.py evaluate-rows` from the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.performance_prediction.planted_rows import planted_scores

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "als.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)


@pytest.fixture
def matrix(tmp_path: Path) -> Path:
    scores, features = planted_scores(20, 8, seed=0)
    scores[4, 2:] = np.nan
    scores[5] = np.nan
    rows = [f"set{i:02d}" for i in range(20)]
    frame = pd.DataFrame(scores, index=rows, columns=[f"pair, {j}" for j in range(8)])
    frame.to_csv(tmp_path / "scores.csv")
    pd.DataFrame(features.to_numpy(), rows, features.columns).to_csv(tmp_path / "scores.features.csv")
    return tmp_path / "scores.csv"


def test_suggestions_leave_out_what_is_measured(matrix: Path) -> None:
    done = run("suggest", "--matrix", matrix, "--row", "set04", "--count", 9, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert sorted(s["column"] for s in report["suggestions"]) == [f"pair, {j}" for j in range(2, 8)]
    assert report["measured"] == 2
    assert report["expected_regret_after"] <= report["expected_regret_before"]


def test_an_empty_row_with_features_gets_suggestions_as_a_table(matrix: Path) -> None:
    features = matrix.with_name("scores.features.csv")
    done = run("suggest", "--matrix", matrix, "--row", "set05", "--features", features, "--count", 2)
    assert done.returncode == 0, done.stderr
    assert "nothing measured yet" in done.stdout and done.stdout.count("pair, ") == 2


def test_costs_decide_between_columns_alike(matrix: Path) -> None:
    first = json.loads(run("suggest", "--matrix", matrix, "--row", "set05", "--count", 1, "--json").stdout)
    dear = first["suggestions"][0]["column"]
    costs = matrix.with_name("costs.csv")
    pd.DataFrame({"cost": [1000.0 if f"pair, {j}" == dear else 1.0 for j in range(8)]}).set_axis(
        [f"pair, {j}" for j in range(8)]
    ).to_csv(costs)
    done = run("suggest", "--matrix", matrix, "--row", "set05", "--costs", costs, "--count", 1, "--json")
    assert json.loads(done.stdout)["suggestions"][0]["column"] != dear


@pytest.mark.parametrize(
    ("costs", "words"),
    [("column,cost\n", "no cost for column 'pair, 0'"), ("column,cost\nx,1\n", "line 2: unknown column 'x'"),
     ('column,cost\n"pair, 0",-1\n', "costs '-1'"), ("column,cost\na,b,c\n", "line 2 ('a'): 3 cells where the header has 2")],
)  # fmt: skip
def test_faulty_costs_are_refused_with_the_place(matrix: Path, costs: str, words: str) -> None:
    path = matrix.with_name("costs.csv")
    path.write_text(costs, encoding="utf-8")
    done = run("suggest", "--matrix", matrix, "--row", "set05", "--costs", path)
    assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr


def test_unknown_row_is_answered_with_the_nearest(matrix: Path) -> None:
    done = run("suggest", "--matrix", matrix, "--row", "set4")
    assert done.returncode == 2 and "unknown row 'set4': did you mean" in done.stderr


def test_evaluation_by_rows_prints_and_writes_its_figures(matrix: Path, tmp_path: Path) -> None:
    out = tmp_path / "rows.json"
    done = run("evaluate-rows", "--matrix", matrix, "--no-features", "--json", out)
    assert done.returncode == 0, done.stderr
    report = json.loads(out.read_text(encoding="utf-8"))
    assert [k["known"] for k in report["tables"]["scores"]["known_cells"]] == [0, 1, 3, 5]
    assert report["circumstances"]["commit"] and "known cells" in done.stdout
