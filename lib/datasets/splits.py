"""Who trains and who tests: the set's own splits.csv, else seeded and stratified with near-duplicates kept together."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lib.config import SplitSettings
from lib.datasets.tables import read_rows
from lib.errors import DataSetError

SPLITS_FILE = "splits.csv"
TRAINVAL = "trainval"
PART_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
    TRAINVAL: TRAINVAL,
    "unused": "unused",
}


@dataclass(frozen=True)
class Declared:
    """What splits.csv says: `parts` (n,) train, validation, test, trainval or unused (empty where it is silent)."""

    parts: npt.NDArray[np.str_]
    errors: tuple[str, ...]
    flaws: tuple[str, ...]


def read_declared(root: Path, files: Sequence[str]) -> Declared | None:
    """The set's own split, with all that is wrong with it; None without a splits.csv.

    A file may be named with or without its first folder (`images/a.jpg` or `a.jpg`). Raises DataSetError where the table
    cannot be read.
    """
    path = root / SPLITS_FILE
    if not path.is_file():
        return None
    declared: dict[str, str] = {}
    errors: list[str] = []
    for row in read_rows(path, ("file", "split")):
        file = row.values["file"].replace("\\", "/").removeprefix("./")
        part = PART_NAMES.get(row.values["split"].lower())
        if part is None:
            given = row.values["split"]
            errors.append(
                f"{path}, line {row.line}: split {given!r}; expected one of train, val, test, trainval"
            )
        elif declared.setdefault(file, part) != part:
            errors.append(f"{path}, line {row.line}: {file} is in {part} here, in {declared[file]} above")
    for file in files:
        bare = file.partition("/")[2]
        if file not in declared and bare in declared:
            declared[file] = declared.pop(bare)
    missing = [file for file in files if file not in declared]
    if missing and not errors:
        errors.append(
            f"{path}: {len(missing)} of {len(files)} images have no line there, the first is {missing[0]}; "
            "add them, or remove the file to have a split made"
        )
    flaws = tuple(f"{path}: names {file}, which is not there" for file in sorted(set(declared) - set(files)))
    return Declared(np.array([declared.get(file, "") for file in files]), tuple(errors), flaws)


def assign_parts(
    files: Sequence[str],
    strata: npt.NDArray[np.int64],
    groups: npt.NDArray[np.int64],
    settings: SplitSettings,
    declared: npt.NDArray[np.str_] | None = None,
) -> npt.NDArray[np.str_]:
    """The part (n,) of each file. Parts that `declared` has are kept; missing ones are carved out of its train part.

    A stratum (class) with two groups or more reaches the test part and always keeps one in train; groups are taken in
    the order of a hash of seed and file name, so that all machines agree and a new image moves few others.
    Raises DataSetError where there are too few images to have both a train and a test part.
    """
    parts = np.full(len(files), TRAINVAL, dtype="<U10") if declared is None else declared.astype("<U10")
    carve_from = np.flatnonzero((parts == "train") | (parts == TRAINVAL))
    if not (parts == "test").any():
        chosen = _carve(files, carve_from, strata, groups, settings.test_fraction, f"{settings.seed}:test")
        if not len(chosen):
            raise DataSetError(
                f"{len(carve_from)} image(s) to train on are too few to set some aside for the test part"
            )
        parts[chosen] = "test"
    if not (parts == "validation").any() and settings.validation_fraction:
        of_the_rest = min(0.5, settings.validation_fraction / (1 - settings.test_fraction))
        pool = np.flatnonzero(parts == (TRAINVAL if (parts == TRAINVAL).any() else "train"))
        parts[_carve(files, pool, strata, groups, of_the_rest, f"{settings.seed}:validation")] = "validation"
    parts[parts == TRAINVAL] = "train"
    for part in ("train", "test"):
        if not (parts == part).any():
            raise DataSetError(f"the {part} part is empty; name {part} files in {SPLITS_FILE}, or remove it")
    return parts


def split_hash(files: Sequence[str], parts: npt.NDArray[np.str_]) -> str:
    """Hash (16 hex digits) of the sorted (file, part) pairs."""
    lines = sorted(f"{file}\t{part}" for file, part in zip(files, parts.tolist(), strict=True))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def seeded_order(files: Sequence[str], positions: npt.NDArray[np.int64], seed: str) -> npt.NDArray[np.int64]:
    """`positions` in the order of a hash of seed and file name: random, yet the same everywhere."""
    keys = [hashlib.sha256(f"{seed}:{files[i]}".encode()).digest() for i in positions]
    return positions[np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.int64)]


def _carve(
    files: Sequence[str],
    pool: npt.NDArray[np.int64],
    strata: npt.NDArray[np.int64],
    groups: npt.NDArray[np.int64],
    fraction: float,
    seed: str,
) -> npt.NDArray[np.int64]:
    """Positions of about `fraction` of the pool, whole groups, each stratum in proportion; empty if it cannot be."""
    if len(np.unique(groups[pool])) < 2:
        groups = np.arange(len(files))
    order = seeded_order(files, pool, seed)
    members: dict[int, list[int]] = {}
    for i in order:
        members.setdefault(int(groups[i]), []).append(int(i))
    frequency = np.bincount(strata[pool])
    by_stratum: dict[int, list[list[int]]] = {}
    for group in members.values():
        by_stratum.setdefault(_stratum(strata[group], frequency), []).append(group)
    chosen: list[list[int]] = []
    for _, candidates in sorted(by_stratum.items()):
        chosen += _take(candidates, fraction)
    if not chosen and len(members) > 1:
        chosen = [min(members.values(), key=len)]
    kept = _with_every_stratum_left(chosen, pool, strata)
    return np.array(sorted(i for group in kept for i in group), dtype=np.int64)


def _stratum(strata: npt.NDArray[np.int64], frequency: npt.NDArray[np.int64]) -> int:
    """A group's commonest stratum, of equally common ones the rarest in the pool."""
    values, counts = np.unique(strata, return_counts=True)
    common = values[counts == counts.max()]
    return int(common[np.argmin(frequency[common])])


def _take(candidates: list[list[int]], fraction: float) -> list[list[int]]:
    """Groups in their order while each brings the number of images nearer to the fraction; one at least, never all."""
    if len(candidates) < 2:
        return []
    wanted = max(1, round(fraction * sum(map(len, candidates))))
    taken: list[list[int]] = []
    missing = wanted
    for group in candidates:
        if len(group) <= 2 * missing - 1 and len(taken) < len(candidates) - 1:
            taken.append(group)
            missing -= len(group)
    return taken or [min(candidates, key=len)]


def _with_every_stratum_left(
    chosen: list[list[int]], pool: npt.NDArray[np.int64], strata: npt.NDArray[np.int64]
) -> list[list[int]]:
    """Gives groups back, as long as others remain chosen, until each stratum of the pool has an image outside."""
    kept = list(chosen)
    for stratum in np.unique(strata[pool]):
        taken = {i for group in kept for i in group}
        if any(strata[i] == stratum and i not in taken for i in pool) or len(kept) < 2:
            continue
        kept.remove(next(group for group in kept if (strata[group] == stratum).any()))
    return kept
