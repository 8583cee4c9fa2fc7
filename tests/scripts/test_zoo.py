"""scripts/zoo.py: thin commands over the benchmark; bad input is one sentence, JSON is JSON."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from lib.errors import CvAutomlError
from tests.benchmark.made_up_sweep import add_head, write_tiny_set
from tests.conftest import make_latency_quick

ROOT = Path(__file__).resolve().parents[2]
ZOO = runpy.run_path(str(ROOT / "scripts" / "zoo.py"))["zoo"]


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Runs a command with folders of the test's own; returns what it printed on standard output."""
    monkeypatch.setenv("CVAUTOML_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("CVAUTOML_DATASETS_DIR", str(tmp_path / "datasets"))
    make_latency_quick(monkeypatch)
    write_tiny_set(tmp_path / "datasets" / "tiny")

    def run(*arguments, code=0):
        result = CliRunner().invoke(ZOO, [*arguments, "--runs", str(tmp_path / "runs")])
        if isinstance(result.exception, CvAutomlError):
            raise result.exception
        assert result.exit_code == code, result.output
        return result.stdout

    return run


CELLS = ("--dataset", "tiny", "--backbone", "handcrafted", "--head", "naive,linear", "--epochs", "2")


def test_run_then_show_then_run_again(call):
    first = call("run", *CELLS, "--seed", "0,1")
    assert "4 cells: 4 to do" in first
    assert "[4/4] tiny · handcrafted × linear · seed 1: accuracy" in first
    board = json.loads(call("show", "--dataset", "tiny", "--json"))
    assert [(row["head"], row["n_seeds"]) for row in board["rows"]] == [("linear", 2)]
    assert board["chance"]["head"] == "naive"
    assert "tiny (unknown, classification, 36 images)" in call("show", "--dataset", "tiny")
    assert "handcrafted × linear" in call("show")
    assert "4 cells: 4 done" in call("run", *CELLS, "--seed", "0,1")


def test_dry_run_shows_the_plan_and_writes_nothing(call, tmp_path):
    shown = call("run", *CELLS, "--dry-run")
    assert "to do" in shown
    assert "by rule of thumb" in shown
    assert not (tmp_path / "runs").exists()


def test_plan_as_json_names_every_cell(call):
    planned = json.loads(call("plan", *CELLS, "--json"))
    assert [(cell["head"], cell["state"]) for cell in planned["cells"]] == [
        ("naive", "to do"),
        ("linear", "to do"),
    ]
    assert planned["estimated_s"] > 0


def test_run_as_json_prints_the_records_alone(call):
    records = json.loads(call("run", *CELLS, "--json"))
    assert [record["status"] for record in records] == ["finished", "finished"]


def test_a_sweep_with_failed_cells_ends_with_1_and_shows_the_reason(call, monkeypatch):
    def fails(job):
        raise ValueError("the made-up reason")

    add_head(monkeypatch, "failing", fails)
    cells = ("--dataset", "tiny", "--backbone", "handcrafted", "--head", "failing,naive")
    shown = call("run", *cells, code=1)
    assert "failed: handcrafted × failing, seed 0: ValueError: the made-up reason" in shown
    assert "naive" in call("show", "--dataset", "tiny")
    assert "1 failed" in call("plan", *cells)


def test_wrong_seeds_are_refused(call):
    for seed in ("x", "-1", str(2**31)):
        assert (
            "Invalid value for '--seed'" in CliRunner().invoke(ZOO, ["plan", *CELLS, "--seed", seed]).output
        )


def test_wrong_names_are_told_together(call):
    with pytest.raises(CvAutomlError, match=r"(?s)lineer.*nowhere"):
        call("plan", "--dataset", "nowhere", "--backbone", "handcrafted", "--head", "lineer")


def test_list_shows_backbones_heads_and_parameters(call, monkeypatch):
    monkeypatch.setenv("CVAUTOML_WEIGHTS", "random")
    listed = json.loads(call("list", "--json"))
    names = {row["name"]: row for row in listed["backbones"]}
    assert names["handcrafted"]["weights"] == "none"
    assert names["resnet18"]["embedding_width"] == 512
    assert names["resnet18"]["weights"] == "random"
    heads = {row["name"]: row["example_parameters"] for row in listed["heads"]}
    assert (heads["linear"], heads["mlp"], heads["student"]) == (1_540, 57_796, 26_852)


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["show"], ["show", "--dataset", "x"]])
def test_help_and_show_start_without_torch(arguments, tmp_path):
    folder = [] if "--help" in arguments else ["--runs", str(tmp_path)]
    code = (
        "import runpy, sys; sys.argv = ['zoo.py', *sys.argv[1:]]\n"
        "try: runpy.run_path('scripts/zoo.py', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "sys.exit('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, *arguments, *folder]
    assert subprocess.run(command, cwd=ROOT, capture_output=True).returncode == 0


def test_bad_input_is_one_sentence_without_a_traceback(tmp_path):
    command = [sys.executable, "scripts/zoo.py", "show", "--dataset", "x", "--runs", str(tmp_path)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stderr.startswith("error: no runs of 'x'")
    assert "Traceback" not in result.stderr


def test_a_broken_record_is_named_and_the_rest_is_shown(call, tmp_path):
    call("run", *CELLS)
    (tmp_path / "runs" / "tiny" / "torn.json").write_text('{"key": ')
    assert len(json.loads(call("show", "--dataset", "tiny", "--json"))["rows"]) == 1


def test_a_budget_without_prior_records_runs_the_cheapest_cells_and_says_so(call):
    planned = json.loads(call("run", *CELLS, "--budget", "10m", "--dry-run", "--json"))
    assert [cell["head"] for cell in planned["cells"]] == ["naive", "linear"]
    assert "cheapest cells first" in planned["notes"][0]
    shown = call("run", *CELLS, "--budget", "10m")
    assert "2 cells: 2 to do" in shown
    assert "tiny: best measured" in shown
    done = json.loads(call("run", *CELLS, "--budget", "10m", "--json"))
    assert (done["records"], done["not_run"]) == ([], 0)
    assert done["outlook"][0]["measured_best"] > 0.5


def test_a_budget_too_small_for_anything_runs_nothing_and_says_why(call):
    done = json.loads(call("run", *CELLS, "--budget", "0.001s", "--json"))
    assert done["records"] == []
    assert "cheapest cell is expected to take" in done["stopped"]


def test_probe_prints_what_cheap_cells_reach_and_writes_no_record(call, monkeypatch, tmp_path):
    monkeypatch.setenv("CVAUTOML_WEIGHTS", "random")
    records = json.loads(call("probe", "--dataset", "tiny", "--json"))
    assert {(r["backbone"]["name"], r["status"]) for r in records} == {("handcrafted", "finished")}
    assert "handcrafted" in call("probe", "--dataset", "tiny")
    assert not (tmp_path / "runs").exists()


def test_folds_and_the_own_split_are_two_runs(call):
    cells = (*CELLS[:4], "--head", "naive")
    folds, own = (json.loads(call("run", *cells, *more, "--json")) for more in ((), ("--split", "own")))
    assert (len(folds[0]["folds"]), len(own[0]["folds"])) == (5, 1)
    assert len(json.loads(call("run", *cells, "--folds", "2", "--json"))[0]["folds"]) == 2


def test_a_metric_can_be_ranked_by(call):
    call("run", *CELLS)
    board = json.loads(call("show", "--dataset", "tiny", "--metric", "macro_f1", "--json"))
    assert board["rows"][0]["metric"] == "macro_f1"
    with pytest.raises(CvAutomlError, match="its metrics are accuracy"):
        call("show", "--dataset", "tiny", "--metric", "dice")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--shard", "3/2"), "expected i/n"),
        (("--jobs", "2", "--budget", "10s"), "leave out --jobs"),
        (("--address", "auto"), "--engine ray"),
    ],
)
def test_ways_of_running_that_do_not_exist_are_refused(call, options, told):
    with pytest.raises(CvAutomlError, match=told):
        call("run", *CELLS, *options)


def test_two_processes_and_two_shards_leave_what_one_run_leaves(call):
    parts = [call("run", *CELLS, "--seed", "0,1", "--jobs", "2", "--shard", f"{i}/2") for i in (1, 2)]
    assert sum("4 cells: 4 to do" in part for part in parts) == 1  # one group: one shard has it all
    assert "4 cells: 4 done" in call("plan", *CELLS, "--seed", "0,1")
