"""The main job from end to end through the scripts, on the procedural set."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.end_to_end.project import FOLDS, Project, best_on_validation


def test_the_whole_chain_runs_on_the_procedural_set(tmp_path: Path) -> None:
    project = Project(tmp_path)
    strips, patches = tmp_path / "strips", tmp_path / "patches"
    project.run("dataset.py", "sample", "--to", strips, "--images", "40")
    assert len(list((strips / "train_images").glob("*.jpg"))) == 40
    project.run("dataset.py", "patches", strips, "--to", patches)
    zoo = ["zoo.py", "run", "--weights", "random"]
    project.run(*zoo, "--dataset", patches, "--backbone", "handcrafted", "--head", "naive,linear,mlp,knn")
    project.run(
        *zoo, "--dataset", patches, "--backbone", "tf_mobilenetv3_small_100", "--head", "naive,linear"
    )
    project.run(
        *zoo,
        "--dataset",
        strips,
        "--backbone",
        "tf_mobilenetv3_small_100",
        "--head",
        "deeplabv3plus",
        "--epochs",
        "1",
    )
    records = project.records("patches")
    assert len(records) == 6 and len(project.records("strips")) == 1
    looks, chance = records["handcrafted", "knn"], records["handcrafted", "naive"]
    assert len(looks.folds) == FOLDS
    assert (looks.quality() or 0) > (chance.quality() or 0) + 2 * (looks.standard_error() or 1)

    report = project.json("als.py", "train", "--epoch", "10", "--task", "classification")
    statuses = {(cell["backbone"], cell["head"]): cell["status"] for cell in report["cells"]}
    assert (
        statuses["handcrafted", "mlp"] == "measured"
        and statuses["tf_mobilenetv3_small_100", "mlp"] == "completed"
    )
    assert any((tmp_path / "out").glob("*.png"))
    project.run("boosting.py", "train", "--task", "classification")
    assert list((tmp_path / "out").glob("*.cbm"))

    answer = project.json("recommend.py", patches)
    first = answer["candidates"][0]
    chosen = records[first["backbone"], first["head"]]
    assert first["basis"] == "measured"
    assert chosen.quality(part="validation") == best_on_validation(records)
    assert first["quality"] == pytest.approx(chosen.quality(), abs=1e-3)
    assert any("procedural" in warning for warning in answer["warnings"])
