"""Shared fixtures: where the real data lie (outside the project), and settings that never touch data/."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lib.config import Settings, load_settings

# Files that take longest come first, so that no process is left alone with one in the end (`--no-loadscope-reorder`).
LONGEST = (
    "test_severstal.py", "test_killed.py", "test_engines.py", "test_procedural.py", "test_als_suggest.py", "test_evaluate.py",
    "test_upscale.py", "test_fit.py", "test_contract.py", "test_conformal.py", "test_run.py", "test_als_complete.py",
)  # fmt: skip
PROJECT_ROOT = Path(__file__).resolve().parent.parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Moves the longest files to the front."""
    places = {name: i for i, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


def shared_folder() -> Path:
    """The folder of real data, weights and score tables: CVAUTOML_SHARED, else `shared` beside the checkout."""
    return Path(os.environ.get("CVAUTOML_SHARED", PROJECT_ROOT.parent / "shared"))


def _existing(name: str) -> Path:
    folder = shared_folder() / name
    if not folder.is_dir():
        pytest.skip(f"needs {name} at {folder}: set CVAUTOML_SHARED to the folder that holds it")
    return folder


@pytest.fixture(scope="session")
def realdata() -> Path:
    """Folder of the real data sets; skips where it is absent."""
    return _existing("realdata")


@pytest.fixture(scope="session")
def weights_dir() -> Path:
    """Folder of real pretrained weights; skips where it is absent."""
    return _existing("weights")


@pytest.fixture(scope="session")
def matrices() -> Path:
    """Folder of score tables measured by others; skips where it is absent."""
    return _existing("matrices")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The project's settings with every folder inside the test's own."""
    return load_settings(environment={}).model_copy(
        update={
            "runs_dir": tmp_path / "runs",
            "out_dir": tmp_path / "out",
            "datasets_dir": tmp_path / "datasets",
            "cache_dir": tmp_path / "cache",
            "tuned_dir": tmp_path / "tuned",
        }
    )


def make_latency_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three calls on any machine are enough to see that latency is recorded, whatever another test found of the machine."""
    for limit in ("MOST_OF_OTHERS", "LARGEST_SPREAD"):
        monkeypatch.setattr(f"lib.zoo.latency.{limit}", float("inf"))
    monkeypatch.setattr("lib.zoo.latency.ROUND_S", 0)
    monkeypatch.setattr("lib.zoo.latency._missed_at", {})


@pytest.fixture(autouse=True)
def numbers_of_any_size() -> Iterator[None]:
    """What a test lets torch do to tiny numbers holds for the whole process, and Hypothesis refuses to draw floats then."""
    yield
    if torch := sys.modules.get("torch"):
        torch.set_flush_denormal(False)
