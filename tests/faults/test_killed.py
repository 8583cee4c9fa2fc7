"""A sweep killed at random moments loses nothing that was finished, tears nothing, and ends like one that was left alone."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lib.records import RecordStore
from tests.benchmark.made_up_sweep import write_tiny_set
from tests.conftest import PROJECT_ROOT

KILLS = 10
LONGEST_S = 600


def start(tiny: Path, folder: Path) -> subprocess.Popen[bytes]:
    """A sweep of 24 cells in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CVAUTOML_CACHE_DIR": str(folder / "cache")}
    words = ["run", "--dataset", str(tiny), "--backbone", "handcrafted", "--head", "knn,linear,naive"]
    words += [
        "--seed",
        ",".join(map(str, range(8))),
        "--epochs",
        "2",
        "--device",
        "cpu",
        "--runs",
        str(folder / "runs"),
    ]
    return subprocess.Popen(
        [sys.executable, "scripts/zoo.py", *words], cwd=PROJECT_ROOT, env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def numbers(folder: Path) -> dict[str, object]:
    """What decides: name of each record → its metrics and curves."""
    kept, broken = RecordStore(folder / "runs").read_all()
    assert not broken
    return {
        RecordStore(folder / "runs").path_of(one).name: (one.final, one.epochs, one.folds) for one in kept
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    """A data set, and what a sweep of it that nobody disturbs gives."""
    folder = tmp_path_factory.mktemp("undisturbed")
    tiny = write_tiny_set(folder / "tiny")
    _, said = start(tiny, folder).communicate(timeout=300)
    found = numbers(folder)
    assert len(found) == 24, said
    return tiny, found


def test_a_sweep_killed_at_random_moments_equals_one_left_alone(
    undisturbed: tuple[Path, dict[str, object]], tmp_path: Path
) -> None:
    tiny, expected = undisturbed
    chance = random.Random(0)
    for _ in range(KILLS):
        process = start(tiny, tmp_path)
        time.sleep(chance.uniform(2.0, 5.0))
        process.send_signal(signal.SIGKILL)
        process.wait()
        finished = numbers(tmp_path)
        assert finished.items() <= expected.items()
        if len(finished) == len(expected):
            break
    assert start(tiny, tmp_path).wait(timeout=300) == 0
    assert numbers(tmp_path) == expected
    left = [path for path in (tmp_path / "runs").rglob("*") if path.is_file() and path.suffix != ".json"]
    assert all(path.name.startswith(".") for path in left), left


def test_two_sweeps_on_one_folder_end_like_one(
    undisturbed: tuple[Path, dict[str, object]], tmp_path: Path
) -> None:
    tiny, expected = undisturbed
    both = [start(tiny, tmp_path) for _ in range(2)]
    assert [process.wait(timeout=300) for process in both] == [0, 0]
    assert numbers(tmp_path) == expected
    for path in (tmp_path / "runs").rglob("*.json"):
        json.loads(path.read_text())
