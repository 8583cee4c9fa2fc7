"""What the set itself says of who trains and who tests: splits.csv for its own split, folds.csv for its folds."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lib.errors import DataSetError
from lib.files import read_rows

SPLITS_FILE = "splits.csv"
FOLDS_FILE = "folds.csv"
TRAINVAL = "trainval"
PART_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
    **{name: name for name in (TRAINVAL, "unused")},
}


@dataclass(frozen=True)
class Declared:
    """`values` (n,): of splits.csv train, validation, test, trainval or unused, of folds.csv the fold that tests a file. Empty,
    or −1, where it is silent of a file. `errors` make the set unusable; `flaws` only deserve a look."""

    values: npt.NDArray[Any]
    errors: tuple[str, ...] = ()
    flaws: tuple[str, ...] = ()


def read_split(root: Path, files: Sequence[str]) -> Declared | None:
    """The set's own split (`file,split`), with all that is wrong with it; None without a splits.csv. A file may be named with
    or without its first folder (`images/a.jpg` or `a.jpg`). Raises DataSetError where the table cannot be read."""
    return _read(
        root / SPLITS_FILE,
        files,
        "split",
        lambda text: PART_NAMES.get(text.lower()),
        "one of train, val, test, trainval",
    )


def read_folds(root: Path, files: Sequence[str]) -> Declared | None:
    """The fold that tests each file (`file,fold`), as `read_split` reads parts; None without a folds.csv."""
    declared = _read(root / FOLDS_FILE, files, "fold", _fold, "a whole number from 0")
    if declared and not declared.errors and len(np.unique(declared.values)) < 2:
        error = f"{root / FOLDS_FILE}: names one fold only; name two or more, or remove the file to have folds made"
        return Declared(declared.values, (error,), declared.flaws)
    return declared


def _fold(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 5 else None


def _read(
    path: Path, files: Sequence[str], column: str, read: Callable[[str], str | int | None], expected: str
) -> Declared | None:
    if not os.path.lexists(path):
        return None
    if not path.is_file():
        raise DataSetError(f"{path}: expected a file `file,{column}`, found something else; move it away")
    told: dict[str, str | int] = {}
    errors: list[str] = []
    flaws: list[str] = []
    for number, cells in read_rows(path, ("file", column)):
        file, given = cells["file"].replace("\\", "/").removeprefix("./"), cells[column]
        value = read(given)
        if file in told:
            flaws.append(f"{path}, line {number}: names {file} again; keep one line a file")
        if value is None:
            errors.append(f"{path}, line {number}: {column} {given!r}; expected {expected}")
        elif told.setdefault(file, value) != value:
            errors.append(f"{path}, line {number}: {file} is in {value} here, in {told[file]} above")
    for file in files:
        bare = file.partition("/")[2]
        if file not in told and bare in told:
            told[file] = told.pop(bare)
    missing = [file for file in files if file not in told]
    if missing and not errors:
        errors.append(
            f"{path}: {len(missing)} of {len(files)} images have no line there, the first is {missing[0]}; "
            f"add them, or remove the file to have a {column} made"
        )
    silent = "" if column == "split" else -1
    flaws += [f"{path}: names {file}, which is not there" for file in sorted(set(told) - set(files))]
    return Declared(np.array([told.get(file, silent) for file in files]), tuple(errors), tuple(flaws))
