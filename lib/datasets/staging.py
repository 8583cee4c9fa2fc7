"""A folder appears whole or not at all: it is filled under a temporary name beside its place, then renamed."""

from __future__ import annotations

import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lib.errors import DataSetError


@contextmanager
def staged_folder(folder: Path) -> Iterator[Path]:
    """An empty folder to fill; when the block ends well it takes the place of `folder`, else it is removed.

    Raises DataSetError naming the folder where it cannot be written or the disk is full.
    """
    stage: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_left_behind(folder)
        stage = folder.parent / f".{folder.name}.{os.getpid()}.tmp"
        stage.mkdir()
        yield stage
        _swap(stage, folder)
    except OSError as error:
        raise DataSetError(f"{folder}: cannot be written: {error.strerror or error}") from error
    finally:
        if stage is not None:
            shutil.rmtree(stage, ignore_errors=True)


def _remove_left_behind(folder: Path) -> None:
    """Removes what killed processes left of earlier attempts; those of living ones stay."""
    for stage in folder.parent.glob(f".{glob.escape(folder.name)}.*.tmp"):
        process = stage.name.split(".")[-2]
        if process.isdecimal() and not _is_alive(int(process)):
            shutil.rmtree(stage, ignore_errors=True)


def _is_alive(process: int) -> bool:
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _swap(stage: Path, folder: Path) -> None:
    """Renames `stage` to `folder`; what was there before goes only after the new one is complete."""
    if not folder.exists():
        stage.rename(folder)
        return
    old = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".old"))
    folder.rename(old / "was")
    try:
        stage.rename(folder)
    except OSError:
        (old / "was").rename(folder)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)
