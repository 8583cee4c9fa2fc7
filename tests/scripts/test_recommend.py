"""`recommend.py` as a user runs it: on folders of real layouts, quickly enough that no network can be behind it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lib.records import RecordStore
from tests.performance_prediction.synthetic_zoo import write_zoo, zoo_runs

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    write_zoo(RecordStore(folder), *zoo_runs(4, seeds=1))
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two classes, names with spaces and umlauts."""
    folder = tmp_path_factory.mktemp("Bilder")
    rng = np.random.default_rng(0)
    for name, level in (("gut", 60), ("schlecht ü", 160)):
        (folder / "images" / name).mkdir(parents=True)
        for i in range(12):
            pixels = np.clip(rng.normal(level, 20, (40, 60)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "images" / name / f"{i}.png")
    return folder


def recommend(
    folder: Path, runs: Path, out: Path, *options: str, code: str = ""
) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "scripts/recommend.py",
        str(folder),
        "--runs",
        str(runs),
        "--out",
        str(out),
        *options,
    ]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_folder_of_classes_gets_ranked_pairs(images: Path, runs: Path, tmp_path: Path) -> None:
    done = recommend(images, runs, tmp_path, "--top", "3", "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert [c["rank"] for c in answer["candidates"]] == [1, 2, 3]
    assert answer["candidates"][0]["basis"] == "predicted"
    assert answer["chance_quality"] == pytest.approx(0.5)


def test_the_table_shows_evidence_and_warnings(images: Path, runs: Path, tmp_path: Path) -> None:
    done = recommend(images, runs, tmp_path)
    assert done.returncode == 0, done.stderr
    for word in (
        "which pair to train",
        "most similar known data sets",
        "warning: thin evidence",
        "predicted",
    ):
        assert word in done.stdout


def test_plain_images_without_labels_work(images: Path, runs: Path, tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in sorted(images.rglob("*.png"))[:6]:
        (flat / f"{path.parent.name}-{path.name}").write_bytes(path.read_bytes())
    done = recommend(flat, runs, tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    assert any("no labels" in warning for warning in json.loads(done.stdout)["warnings"])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--max-latency-ms", "0.001"], "the nearest possible is"),
        (["--max-parameters", "1"], "the nearest possible is"),
        (["--domain", "nowhere"], "domains with runs"),
        (["--task", "segmentation"], "zoo.py run --dataset"),
    ],
)
def test_what_cannot_be_answered_is_one_sentence(
    images: Path, runs: Path, tmp_path: Path, options: list[str], sentence: str
) -> None:
    done = recommend(images, runs, tmp_path, *options)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_that_is_not_there_is_one_sentence(runs: Path, tmp_path: Path) -> None:
    done = recommend(tmp_path / "nowhere", runs, tmp_path)
    assert done.returncode == 2
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_torch_on_this_path(images: Path, runs: Path, tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['recommend.py', *sys.argv[1:]]\n"
        "from scripts.recommend import recommend\n"
        "recommend.main(standalone_mode=False)\n"
        "assert not {'torch', 'sklearn', 'catboost', 'scipy.stats', 'matplotlib'} & set(sys.modules)"
    )
    command = [sys.executable, "-c", code, str(images), "--runs", str(runs), "--out", str(tmp_path), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_probing_measures_cells_that_stand_in_the_table(
    images: Path, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CVAUTOML_WEIGHTS", "random")
    monkeypatch.setenv("CVAUTOML_CACHE_DIR", str(tmp_path / "cache"))
    done = recommend(images, runs, tmp_path, "--probe", "--json", "--top", "100")
    assert done.returncode == 0, done.stderr
    assert "not probed with tf_mobilenetv3_small_100: random weights" in done.stderr
    measured = [c for c in json.loads(done.stdout)["candidates"] if c["basis"] == "measured"]
    assert {c["backbone"] for c in measured} == {"handcrafted"}
    assert {c["head"] for c in measured} == {"linear", "knn", "catboost"}
    assert all("probed on" in c["evidence"] and c["low"] <= c["quality"] <= c["high"] for c in measured)


def test_another_metric_is_recommended_by(images: Path, runs: Path, tmp_path: Path) -> None:
    done = recommend(images, runs, tmp_path, "--metric", "macro_f1")
    assert done.returncode == 2
    assert "has measured macro_f1" in done.stderr
    assert (
        json.loads(recommend(images, runs, tmp_path, "--metric", "accuracy", "--json").stdout)["metric"]
        == "accuracy"
    )
