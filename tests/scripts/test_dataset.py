"""scripts/dataset.py from the outside: exit codes, one-sentence errors, JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.datasets import made_up

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "dataset.py"


def _run(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "CVAUTOML_CACHE_DIR": str(tmp_path / "cache"),
        "CVAUTOML_DATASETS_DIR": str(tmp_path / "datasets"),
        "HOME": str(tmp_path),
        "KAGGLE_CONFIG_DIR": str(tmp_path),
    }
    for variable in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN"):
        environment.pop(variable, None)
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )


def test_sample_list_prepare_and_patches_chain(tmp_path: Path) -> None:
    made = _run(tmp_path, "sample", "--images", "16")
    assert made.returncode == 0 and "16 procedural images, data set steel_sample" in made.stdout
    (entry,) = json.loads(_run(tmp_path, "list", "--json").stdout)
    assert (entry["name"], entry["images"], entry["procedural"]) == ("steel_sample", 16, True)
    boxes = json.loads(_run(tmp_path, "prepare", "steel_sample", "--json").stdout)
    assert boxes["boxes"] > 8 and Path(boxes["path"]).name == "annotations.json"
    cut = json.loads(_run(tmp_path, "patches", "steel_sample", "--size", "48", "--json").stdout)
    assert cut["name"] == "steel_sample_patches" and cut["counts"]["no_defect"]["train"] > 0
    table = _run(tmp_path, "list").stdout
    assert "procedural" in table and "from steel_sample" in table


def test_describe_speaks_text_json_and_pictures(tmp_path: Path) -> None:
    root = made_up.masks(tmp_path / "set", [0, 1, 2] * 4)
    text = _run(tmp_path, "describe", str(root)).stdout
    assert "12: " in text and "kind1" in text and "brightness" in text
    told = json.loads(
        _run(tmp_path, "describe", str(root), "--json", "--png", str(tmp_path / "x.png")).stdout
    )
    assert told["images"] == 12 and told["facts"]["meta_features"]["n_classes"] == 2
    assert (tmp_path / "x.png").stat().st_size > 10_000


def test_check_exits_with_one_when_there_are_problems(tmp_path: Path) -> None:
    root = made_up.masks(tmp_path / "set", [0, 1] * 5, n_classes=1)
    healthy = _run(tmp_path, "check", str(root))
    assert (healthy.returncode, healthy.stderr) == (0, "") and "no problem" in healthy.stdout
    (root / "masks" / "000.png").unlink()
    (root / "images" / "001.png").write_bytes(b"")
    harmed = _run(tmp_path, "check", str(root), "--json")
    assert harmed.returncode == 1 and len(json.loads(harmed.stdout)["problems"]) == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("describe", "nowhere"), "there is no data set 'nowhere'"),
        (("check", "nowhere"), "there is no data set 'nowhere'"),
        (("patches", "nowhere@defect"), "there is no data set 'nowhere'"),
        (("list", "nowhere"), "there is no such folder"),
        (("sample", "--images", "2"), "too small"),
        (("download", "severstal"), "Kaggle needs an API key"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_two(
    arguments: tuple[str, ...], says: str, tmp_path: Path
) -> None:
    done = _run(tmp_path, *arguments)
    assert done.returncode == 2 and done.stderr.startswith("error: ") and says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 and "Traceback" not in done.stderr
