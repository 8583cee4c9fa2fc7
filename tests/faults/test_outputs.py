"""An output never takes the place of an input, of a device or of a foreign file, and never stays half written."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from lib.errors import CvAutomlError
from lib.files import replacing, write_atomically
from tests.datasets import made_up
from tests.faults.conftest import Run


def test_a_completed_table_does_not_replace_its_input(run: Run, table: Path) -> None:
    before = table.read_bytes()
    run("als", "complete", "--matrix", table, "--out", table).refused("scores.csv")
    assert table.read_bytes() == before


def test_prepared_patches_do_not_overwrite_the_labels(run: Run, tmp_path: Path) -> None:
    strips = made_up.severstal(tmp_path / "steel", [0, 1, 2, 3, 1, 2])
    before = (strips / "train.csv").read_bytes()
    run("dataset", "prepare", strips, "--to", strips / "train.csv").refused("train.csv")
    run("dataset", "prepare", strips, "--to", strips).refused("steel")
    assert (strips / "train.csv").read_bytes() == before


def test_a_picture_does_not_overwrite_the_card(run: Run, classes: Path) -> None:
    card = classes / "dataset.yaml"
    before = card.read_bytes()
    run("dataset", "describe", classes, "--png", card).refused("dataset.yaml", ".png")
    assert card.read_bytes() == before


def test_a_table_does_not_overwrite_a_picture(run: Run, table: Path, tmp_path: Path) -> None:
    picture = tmp_path / "holiday.jpg"
    made_up.picture(1).save(picture)
    before = picture.read_bytes()
    run("als", "complete", "--matrix", table, "--out", picture).refused("holiday.jpg")
    assert picture.read_bytes() == before


def test_a_device_stays_a_device(run: Run, table: Path, tmp_path: Path) -> None:
    device = tmp_path / "null"
    try:
        os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("no device may be made here")
    run("als", "complete", "--matrix", table, "--out", device)
    assert stat.S_ISCHR(os.stat(device).st_mode)


def test_writing_to_a_pipe_or_folder_does_not_replace_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises((CvAutomlError, OSError)):
            write_atomically(tmp_path / name, "text")
    assert stat.S_ISFIFO(os.stat(tmp_path / "pipe").st_mode)


def test_a_symlink_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to(tmp_path / "real.txt")
    write_atomically(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "kept.txt").write_text("old")
    with pytest.raises(RuntimeError), replacing(tmp_path / "kept.txt") as draft:
        draft.write_text("half")
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]
    assert (tmp_path / "kept.txt").read_text() == "old"
