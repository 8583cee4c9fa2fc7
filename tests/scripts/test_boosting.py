"""`boosting.py train | evaluate | explain` as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from lib.errors import CvAutomlError, TooLittleDataError
from lib.records import RecordStore
from scripts.boosting import boosting
from tests.performance_prediction.synthetic_zoo import write_zoo, zoo_runs


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    write_zoo(RecordStore(folder), *zoo_runs(3, seeds=2))
    return folder


def run(runs: Path, out: Path, *options: object) -> str:
    result = CliRunner().invoke(
        boosting, [*map(str, options), "--runs", str(runs), "--out", str(out)], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    return result.stdout


def test_train_saves_the_model_the_list_of_features_and_the_table(runs: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    said = json.loads(run(runs, tmp_path, "train", "--json", "--table", table))
    assert [Path(file).suffix for file in said["files"]] == [".cbm", ".json", ".csv"]
    assert len(table.read_text().splitlines()) == 1 + said["runs"] == 1 + 3 * 15 * 2
    saved = json.loads(Path(said["files"][1]).read_text())
    assert saved["features"] == said["features"]
    assert saved["features_version"] >= 1


def test_evaluate_prints_the_rivals_and_keeps_the_judgement(runs: Path, tmp_path: Path) -> None:
    said = json.loads(run(runs, tmp_path, "evaluate", "--json", "--no-ablation"))
    unseen, probed = said["regimes"]["unseen"], said["regimes"]["probed"]
    assert {"additive", "nearest_set", "row_model", "catboost"} <= {line["name"] for line in unseen["scores"]}
    assert {"shift_only", "pair_gaussian", "catboost_probed"} <= {line["name"] for line in probed["scores"]}
    for judged in (unseen, probed):
        assert {judged["level"], judged["order"]} <= {line["name"] for line in judged["scores"]}
        assert judged["floor"]["low"] <= judged["floor"]["mean"] <= judged["floor"]["high"]
        assert any("noise floor" in reason for reason in judged["reasons"])
    assert [Path(file).suffix for file in said["files"]] == [
        ".json",
        ".cbm",
        ".json",
        ".cbm",
        ".json",
        ".json",
    ]
    assert all(Path(file).is_file() for file in said["files"])


def test_explain_draws_a_picture_and_says_it_in_words(runs: Path, tmp_path: Path) -> None:
    said = json.loads(run(runs, tmp_path, "explain", "set1", "--json"))
    assert said["sentence"].startswith("set1: predicted")
    assert Path(said["files"][0]).is_file()
    assert "wrote" in run(runs, tmp_path, "explain", "--pair", "resnet18 x linear")


def test_an_unknown_pair_is_answered_with_the_nearest(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(CvAutomlError, match="did you mean resnet18 × linear"):
        run(runs, tmp_path, "explain", "--pair", "resnet18xlinea")


def test_no_runs_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(TooLittleDataError, match="run the zoo first"):
        run(tmp_path / "none", tmp_path, "evaluate")
