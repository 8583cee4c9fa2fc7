"""A disk that fills: one sentence, the old file stays, nothing half is left. On a small tmpfs where one may be mounted."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lib.errors import CvAutomlError
from tests.faults.conftest import Run

SIZE_KB = 300


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system with some 100 kB left."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_KB}k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=20)
    except OSError as error:
        pytest.skip(f"mount cannot be run: {error}")
    if done.returncode:
        pytest.skip(f"no tmpfs may be mounted here: {done.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=False, timeout=20)


def fill(folder: Path, leave: int = 0) -> None:
    """Fills a file system up to `leave` bytes."""
    with (folder / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
        file.truncate(max(0, file.tell() - leave))


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_a_table_and_a_picture_and_a_model(
    run: Run, runs: Path, table: Path, classes: Path, small: Path
) -> None:
    fill(small)
    before = files(small)
    run("als", "complete", "--matrix", table, "--out", small / "full.csv").refused(str(small))
    run("dataset", "describe", classes, "--png", small / "sheet.png").refused(str(small))
    run("als", "train", "--epoch=10", "--out", small).refused(str(small))
    assert files(small) == before


def test_a_record_and_a_cache(run: Run, classes: Path, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = (
        "zoo",
        "run",
        "--dataset",
        classes,
        "--backbone",
        "handcrafted",
        "--head",
        "knn",
        "--epochs",
        "1",
    )
    fill(small)
    before = files(small)
    run(*words, "--runs", small / "runs").refused(str(small))
    assert files(small) == before
    monkeypatch.setenv("CVAUTOML_CACHE_DIR", str(small / "cache"))
    run(*words).fine()
    assert files(small) == before


def test_a_data_set(run: Run, small: Path) -> None:
    fill(small, leave=40_000)
    before = files(small)
    run("dataset", "sample", "--to", small / "steel", "--images", 50).refused(str(small))
    assert files(small) == before


def test_a_download(small: Path, tmp_path: Path) -> None:
    from lib.datasets.kaggle_download import unpack
    from tests.faults.test_downloads import archive

    packed = archive(tmp_path / "a.zip", **{"train.csv": bytes(range(256)) * 2000})
    with pytest.raises((CvAutomlError, OSError), match=r"small|space"):
        unpack(packed, small / "work")
