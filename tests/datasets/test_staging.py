"""Folders appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lib.datasets.staging import staged_folder
from lib.errors import DataSetError


def test_a_failing_block_leaves_the_old_folder_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "old").touch()
    with pytest.raises(RuntimeError), staged_folder(tmp_path / "set") as stage:
        (stage / "new").touch()
        raise RuntimeError
    assert [p.name for p in tmp_path.iterdir()] == ["set"] and [
        p.name for p in (tmp_path / "set").iterdir()
    ] == ["old"]


def test_a_finished_block_replaces_the_folder(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "old").touch()
    with staged_folder(tmp_path / "set") as stage:
        (stage / "new").touch()
    assert [p.name for p in tmp_path.iterdir()] == ["set"] and [
        p.name for p in (tmp_path / "set").iterdir()
    ] == ["new"]


def test_what_a_killed_process_left_is_removed_and_a_living_ones_stays(tmp_path: Path) -> None:
    dead, alive = tmp_path / ".set.999999999.tmp", tmp_path / f".set.{os.getppid()}.tmp"
    dead.mkdir()
    alive.mkdir()
    with staged_folder(tmp_path / "set"):
        pass
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([alive.name, "set"])


def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataSetError, match="cannot be written"), staged_folder(tmp_path / "file" / "set"):
        pass
