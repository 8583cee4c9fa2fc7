"""The main job from end to end through the scripts: on the procedural set, and on real Severstal images with real weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lib.records import CHANCE_HEAD, RecordStore, RunRecord

ROOT = Path(__file__).resolve().parent.parent
SMALL_MASKS = {"CVAUTOML_SEGMENTATION__IMAGE_HEIGHT_PX": "64", "CVAUTOML_SEGMENTATION__IMAGE_WIDTH_PX": "256"}


class Project:
    """Runs scripts as a user would, with every folder inside the test's own."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.where = ["--runs", str(folder / "runs"), "--out", str(folder / "out")]
        self.environment = {
            **os.environ,
            **SMALL_MASKS,
            "CVAUTOML_CACHE_DIR": str(folder / "cache"),
            **environment,
        }

    def run(self, script: str, *arguments: str | Path) -> str:
        """Standard output of one script; fails the test with its error output when it does not end with 0."""
        command = [sys.executable, str(ROOT / "scripts" / script), *map(str, arguments), *self.where]
        done = subprocess.run(
            command, env=self.environment, cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def json(self, script: str, *arguments: str | Path) -> Any:
        """What the script prints with --json."""
        return json.loads(self.run(script, *arguments, "--json"))

    def records(self, data_set: str) -> dict[tuple[str, str], RunRecord]:
        """(backbone, head) → record of one data set; fails where a run did not finish."""
        records, broken = RecordStore(self.folder / "runs").read_all()
        assert not broken and {r.status for r in records} == {"finished"}
        return {(r.backbone.name, r.head.name): r for r in records if r.data_set.name == data_set}


def best_on_validation(records: dict[tuple[str, str], RunRecord]) -> float:
    """The highest quality on the validation parts; answering without looking is no pair."""
    return max(r.quality(part="validation") or 0.0 for r in records.values() if r.head.name != CHANCE_HEAD)


def test_the_whole_chain_runs_on_the_procedural_set(tmp_path: Path) -> None:
    project = Project(tmp_path)
    strips, patches = tmp_path / "strips", tmp_path / "patches"
    project.run("dataset.py", "sample", "--to", strips, "--images", "40")
    assert len(list((strips / "train_images").glob("*.jpg"))) == 40
    project.run("dataset.py", "patches", strips, "--to", patches)
    zoo = ["zoo.py", "run", "--weights", "random"]
    project.run(*zoo, "--dataset", patches, "--backbone", "handcrafted", "--head", "naive,linear,mlp,knn")
    project.run(*zoo, "--dataset", patches, "--backbone", "mobilenetv2_100", "--head", "naive,linear")
    project.run(
        *zoo, "--dataset", strips, "--backbone", "mobilenetv2_100", "--head", "deeplabv3plus", "--epochs", "1"
    )
    records = project.records("patches")
    assert len(records) == 6 and len(project.records("strips")) == 1
    looks, chance = records["handcrafted", "knn"], records["handcrafted", "naive"]
    assert len(looks.folds) == 5
    assert (looks.quality() or 0) > (chance.quality() or 0) + 2 * (looks.standard_error() or 1)

    report = project.json("als.py", "train", "--epoch", "10", "--task", "classification")
    statuses = {(cell["backbone"], cell["head"]): cell["status"] for cell in report["cells"]}
    assert statuses["handcrafted", "mlp"] == "measured" and statuses["mobilenetv2_100", "mlp"] == "completed"
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


def test_the_whole_chain_runs_on_real_severstal_images_with_a_real_network(
    tmp_path: Path, realdata: Path, weights_dir: Path
) -> None:
    project = Project(tmp_path, CVAUTOML_WEIGHTS_DIR=str(weights_dir))
    severstal, patches = realdata / "severstal_subset", tmp_path / "severstal_patches"
    project.run("dataset.py", "patches", severstal, "--to", patches, "--size", "224", "--context", "0.25")
    with Image.open(next(patches.glob("images/*/*"))) as patch:
        assert patch.size == (224, 224)
    project.run(
        "zoo.py", "run", "--dataset", patches, "--backbone", "mobilenetv2_100,handcrafted", "--head", "all"
    )
    records = project.records("severstal_patches")
    network, chance = records["mobilenetv2_100", "mlp"], records["handcrafted", "naive"]
    assert (network.quality() or 0) > (chance.quality() or 0) + 0.2
    assert network.backbone.weights_origin == "weights_dir" and network.data_set.parent == "severstal_subset"
    assert all(len(r.epochs) == 10 and r.standard_error() for r in records.values())

    project.run("als.py", "train", "--epoch", "10")
    answer = project.json("recommend.py", realdata / "severstal_subset" / "test_images")
    bases = {(c["backbone"], c["head"]): c["basis"] for c in answer["candidates"]}
    # Nobody runs the network for hand-made statistics on a network's features, unless told to.
    assert bases.pop(("mobilenetv2_100", "tabular"), "completed") == "completed"
    assert set(bases.values()) == {"predicted"}
    assert all(0 <= candidate["quality"] <= 1 for candidate in answer["candidates"])
