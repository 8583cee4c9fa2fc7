"""scripts/dataset.py from the outside: exit codes, one-sentence errors, JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.datasets import made_up
from tests.running import run_script


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the script as `python scripts/dataset.py …` does, in this process."""
    for variable in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("CVAUTOML_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("CVAUTOML_DATASETS_DIR", str(tmp_path / "datasets"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path))

    return lambda *arguments: Done(*run_script(monkeypatch, capsys, "dataset", *arguments))


def test_sample_list_prepare_and_patches_chain(run: Run, tmp_path: Path) -> None:
    made = run("sample", "--images", "16")
    assert made.returncode == 0 and "16 procedural images, data set steel_sample" in made.stdout
    (entry,) = json.loads(run("list", "--json").stdout)
    assert (entry["name"], entry["images"], entry["procedural"]) == ("steel_sample", 16, True)
    boxes = json.loads(run("prepare", "steel_sample", "--json").stdout)
    assert boxes["boxes"] > 8 and Path(boxes["path"]).name == "annotations.json"
    cut = json.loads(run("patches", "steel_sample", "--size", "48", "--json").stdout)
    assert cut["name"] == "steel_sample_patches" and cut["counts"]["no_defect"]["train"] > 0
    table = run("list").stdout
    assert "procedural" in table and "from steel_sample" in table


def test_an_empty_folder_is_said_to_be_empty(run: Run, tmp_path: Path) -> None:
    (tmp_path / "datasets").mkdir()
    assert "no data sets here yet" in run("list").stdout
    assert json.loads(run("list", "--json").stdout) == []


def test_describe_speaks_text_json_and_pictures(run: Run, tmp_path: Path) -> None:
    root = made_up.masks(tmp_path / "set", [0, 1, 2] * 4)
    text = run("describe", str(root)).stdout
    assert "kind1" in text and "brightness" in text and "5, each: " in text
    assert "defect_dice: 67 % of the pairs of image and class have no defect" in " ".join(text.split())
    told = json.loads(run("describe", str(root), "--json", "--png", str(tmp_path / "x.png")).stdout)
    assert told["images"] == 12 == sum(told["tested"]) and told["facts"]["trusted_metric"] == "defect_dice"
    assert told["facts"]["meta_features"]["n_classes"] == 2
    assert (tmp_path / "x.png").stat().st_size > 10_000


def test_check_exits_with_one_when_there_are_problems(run: Run, tmp_path: Path) -> None:
    root = made_up.masks(tmp_path / "set", [0, 1] * 5, n_classes=1)
    healthy = run("check", str(root))
    assert (healthy.returncode, healthy.stderr) == (0, "") and "no problem" in healthy.stdout
    (root / "masks" / "000.png").unlink()
    (root / "images" / "001.png").write_bytes(b"")
    harmed = run("check", str(root), "--json")
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
def test_bad_input_is_one_sentence_and_exit_code_two(arguments: tuple[str, ...], says: str, run: Run) -> None:
    done = run(*arguments)
    assert done.returncode == 2 and done.stderr.startswith("error: ") and says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 and "Traceback" not in done.stderr
