"""`zoo.py ssl` as a new user meets it: tuned, looked at, run where it may be, refused where it saw the test images."""

from __future__ import annotations

import json

import pytest

from lib.records import RecordStore
from tests.benchmark.made_up_sweep import write_tiny_set
from tests.conftest import make_latency_quick
from tests.running import run_script

NAME = "test_resnet"
TUNED = f"{NAME}+ssl@tiny"


@pytest.fixture
def zoo(tmp_path, monkeypatch, capsys):
    """Runs a command in folders of the test's own; returns what it printed, and on standard error."""
    settings = {"CACHE_DIR": "cache", "TUNED_DIR": "tuned", "DATASETS_DIR": "datasets", "RUNS_DIR": "runs"}
    for name, folder in settings.items():
        monkeypatch.setenv(f"CVAUTOML_{name}", str(tmp_path / folder))
    for name, value in {"BATCH_SIZE": 6, "LOCAL_VIEWS": 1, "LOCAL_SIZE_PX": 48, "PROTOTYPES": 16}.items():
        monkeypatch.setenv(f"CVAUTOML_SSL__{name}", str(value))
    make_latency_quick(monkeypatch)
    write_tiny_set(tmp_path / "datasets" / "tiny", images=5)

    def run(*words: object, code: int = 0) -> tuple[str, str]:
        how = ("--weights", "random", "--device", "cpu", "--precision", "fp32")
        found, out, err = run_script(monkeypatch, capsys, "zoo", *words, *how)
        assert found == code, err
        return out, err

    return run


def test_a_backbone_is_tuned_seen_and_run_on_its_own_fold_alone(zoo, tmp_path):
    out, err = zoo("ssl", "--dataset", "tiny", "--backbone", NAME, "--epochs", 1, "--json")
    told = json.loads(out)
    assert told["name"] == TUNED
    assert "epoch 1/1: loss" in err
    assert [one["backbone"] for one in told["embeddings"]] == [NAME, TUNED]
    assert (tmp_path / "tuned" / f"{TUNED}.png").is_file()

    cells = ("--dataset", "tiny", "--backbone", TUNED, "--head", "linear", "--json")
    plan = json.loads(zoo("plan", *cells)[0])["cells"]
    assert [one["state"] for one in plan] == ["incompatible"]
    assert "its tuning saw images that fold 2, 3, 4, 5 tests" in plan[0]["reason"]

    compared = ("compare", *cells[:4], "--head", "naive", "--json")
    assert "its tuning saw images" in zoo(*compared, code=2)[1]
    assert [row["backbone"] for row in json.loads(zoo(*compared, "--folds", 1)[0])["rows"]] == 2 * [TUNED]

    zoo("run", *cells, "--folds", 1)
    records, _ = RecordStore(tmp_path / "runs").read_all(("finished",))
    assert records[0].backbone.weights_origin == "tuned"
    assert records[0].backbone.pretraining_method == "dino on tiny, 1 epochs, last-2 from random weights"

    picture = tmp_path / "both.png"
    zoo("embed", "--dataset", "tiny", "--backbone", f"{NAME},{TUNED}", "--png", picture)
    assert picture.is_file()


def test_what_is_missing_is_told_before_anything_is_trained(zoo):
    assert "holds no" in zoo("embed", "--dataset", "tiny", "--backbone", TUNED, code=2)[1]
    assert "cannot be tuned" in zoo("ssl", "--dataset", "tiny", "--backbone", "handcrafted", code=2)[1]
