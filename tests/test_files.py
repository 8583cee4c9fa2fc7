"""Files and folders appear whole or not at all; CSV files are read with the place of what is wrong."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from lib.errors import CvAutomlError, DataSetError
from lib.files import csv_text, read_csv, replacing, staged_folder, write_atomically, write_npz, writing


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


def test_a_failing_block_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(RuntimeError), replacing(tmp_path / "a") as draft:
        draft.write_text("half")
        raise RuntimeError
    assert [p.name for p in tmp_path.iterdir()] == ["a"] and (tmp_path / "a").read_text() == "old"


def test_text_bytes_and_arrays_appear_whole_and_can_be_read_by_all(tmp_path: Path) -> None:
    write_atomically(tmp_path / "deep" / "text", "größer\n")
    write_atomically(tmp_path / "deep" / "bytes", b"\x00\xff", flush=False)
    write_npz(tmp_path / "deep" / "arrays.npz", a=np.arange(3))
    assert (tmp_path / "deep" / "text").read_bytes() == "größer\n".encode()
    assert (tmp_path / "deep" / "bytes").read_bytes() == b"\x00\xff"
    with np.load(tmp_path / "deep" / "arrays.npz", allow_pickle=False) as arrays:
        assert arrays["a"].tolist() == [0, 1, 2]
    assert {p.stat().st_mode & 0o777 for p in (tmp_path / "deep").iterdir()} == {0o644}


def test_a_place_that_is_no_folder_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        CvAutomlError, match=r"cannot write .*below: File exists; choose another place with --out"
    ):
        writing(tmp_path / "file" / "below", lambda: write_atomically(tmp_path / "file" / "below", ""))


def test_lines_keep_their_numbers_and_missing_cells_may_be_padded(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a.csv", 'x,y\n\n"1\n2",b\n3\n')
    with pytest.raises(CvAutomlError, match=r"a\.csv, line 5 \('3'\): 1 cells where the header has 2"):
        read_csv(tmp_path / "a.csv")
    lines = read_csv(tmp_path / "a.csv", padded=True).lines
    assert [(line.number, line.cells) for line in lines] == [(4, ("1\n2", "b")), (5, ("3", ""))]


def test_written_csv_reads_back(tmp_path: Path) -> None:
    rows = [("name", "value"), ('a "quoted", name', "1"), ("line\nbreak", "")]
    write_atomically(tmp_path / "a.csv", csv_text(rows))
    table = read_csv(tmp_path / "a.csv")
    assert [table.header, *(line.cells for line in table.lines)] == rows
