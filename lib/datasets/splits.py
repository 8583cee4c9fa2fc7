"""Who trains and who tests, where the set does not say: seeded, stratified, whole groups, the same on every machine."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lib.config import SplitSettings
from lib.datasets.declared import SPLITS_FILE, TRAINVAL
from lib.errors import DataSetError
from lib.files import short_hash

Ints = npt.NDArray[np.int64]
Parts = npt.NDArray[np.str_]


def assign_parts(
    files: Sequence[str], strata: Ints, groups: Ints, settings: SplitSettings, declared: Parts | None = None
) -> Parts:
    """The part (n,) of each file. Parts that `declared` has are kept; missing ones are carved out of its train part. A stratum
    (class) with two groups or more reaches the test part and always keeps one in train; groups are taken in the order of a hash
    of seed and file name, so that all machines agree and a new image moves few others. Raises DataSetError where there are too
    few images to have both a train and a test part."""
    parts = np.full(len(files), TRAINVAL, dtype="<U10") if declared is None else declared.astype("<U10")
    if not (parts == "test").any():
        pool = np.flatnonzero((parts == "train") | (parts == TRAINVAL))
        chosen = _carve(files, pool, strata, groups, settings.test_fraction, f"{settings.seed}:test")
        if not len(chosen):
            raise DataSetError(
                f"{len(pool)} image(s) to train on are too few to set some aside for the test part"
            )
        parts[chosen] = "test"
    if not (parts == "validation").any():
        of_the_rest = min(0.5, settings.validation_fraction / (1 - settings.test_fraction))
        pool = np.flatnonzero(parts == (TRAINVAL if (parts == TRAINVAL).any() else "train"))
        parts[_carve(files, pool, strata, groups, of_the_rest, f"{settings.seed}:validation")] = "validation"
    parts[parts == TRAINVAL] = "train"
    for part in ("train", "test"):
        if not (parts == part).any():
            raise DataSetError(f"the {part} part is empty; name {part} files in {SPLITS_FILE}, or remove it")
    return parts


def cross_validation(
    files: Sequence[str],
    strata: Ints,
    groups: Ints,
    settings: SplitSettings,
    declared: Ints | None = None,
    unused: npt.NDArray[np.bool_] | None = None,
) -> tuple[Parts, ...]:
    """Parts (n,) of each fold: every file is tested once, groups stay together, strata are spread evenly. `declared`: the fold
    (n,) that tests each file, where the set says so; `unused`: files (n,) that stay out. Of fewer groups than `settings.folds`
    as many folds are made as there are groups. Raises DataSetError where there are fewer than two."""
    used = np.arange(len(files)) if unused is None else np.flatnonzero(~unused)
    n_folds = min(settings.folds, len(np.unique(groups[used])))
    tested_in = declared
    if tested_in is None:
        tested_in = _fold_numbers(files, used, strata, groups, n_folds, settings.seed)
    folds = np.unique(tested_in[used])
    if len(folds) < 2:
        raise DataSetError(
            f"{len(used)} image(s) that belong together cannot be divided for training and testing"
        )
    of_the_rest = min(0.5, settings.validation_fraction * len(folds) / (len(folds) - 1))
    divisions = []
    for fold in folds:
        parts = np.full(len(files), "unused", dtype="<U10")
        parts[used] = np.where(tested_in[used] == fold, "test", "train")
        pool = np.flatnonzero(parts == "train")
        seed = f"{settings.seed}:{fold}:validation"
        parts[_carve(files, pool, strata, groups, of_the_rest, seed)] = "validation"
        divisions.append(parts)
    return tuple(divisions)


def split_hash(files: Sequence[str], divisions: Sequence[Parts]) -> str:
    """Hash (16 hex digits) of the sorted files, each with its part (n,) in every division."""
    lines = sorted(map("\t".join, zip(files, *(parts.tolist() for parts in divisions), strict=True)))
    return short_hash("\n".join(lines))


def seeded_order(files: Sequence[str], positions: Ints, seed: str) -> Ints:
    """`positions` in the order of a hash of seed and file name: random, yet the same everywhere."""
    keys = [hashlib.sha256(f"{seed}:{files[i]}".encode()).digest() for i in positions]
    return positions[np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.int64)]


@dataclass(frozen=True)
class _Groups:
    """Groups in the order of a hash: their positions, images a stratum (n_groups, n_strata), and the stratum each counts as."""

    members: list[Ints]
    counts: Ints
    stratum: Ints


def _grouped(files: Sequence[str], pool: Ints, strata: Ints, groups: Ints, seed: str) -> _Groups:
    """The groups of a pool. One counts as its commonest stratum, of equally common ones as the rarest in the pool."""
    order = seeded_order(files, pool, seed)
    _, first, inverse = np.unique(groups[order], return_index=True, return_inverse=True)
    number = np.argsort(np.argsort(first))[inverse]
    counts = np.zeros((len(first), int(strata.max(initial=0)) + 1), dtype=np.int64)
    np.add.at(counts, (number, strata[order]), 1)
    members = np.split(order[np.argsort(number, kind="stable")], np.cumsum(counts.sum(axis=1))[:-1])
    commonest = counts == counts.max(axis=1, keepdims=True)
    return _Groups(members, counts, np.where(commonest, counts.sum(axis=0), len(files) + 1).argmin(axis=1))


def _fold_numbers(
    files: Sequence[str], used: Ints, strata: Ints, groups: Ints, n_folds: int, seed: int
) -> Ints:
    """The fold (n,) that tests each used file. Groups, the largest first, go where their strata, each in shares of its own
    total, have least, then where all have fewest: strata of single images end up even to one image, and so do the folds."""
    found = _grouped(files, used, strata, groups, f"{seed}:folds")
    shares = found.counts / np.maximum(found.counts.sum(axis=0), 1)
    filled = np.zeros((n_folds, shares.shape[1]), dtype=np.int64)
    numbers = np.zeros(len(files), dtype=np.int64)
    for g in np.lexsort((found.stratum, -found.counts.sum(axis=1))):
        fold = np.lexsort((filled.sum(axis=1), (filled * shares[g]).sum(axis=1).round(9)))[0]
        numbers[found.members[g]] = fold
        filled[fold] += found.counts[g]
    return numbers


def _carve(
    files: Sequence[str], pool: Ints, strata: Ints, groups: Ints, fraction: float, seed: str
) -> list[int]:
    """Positions of about `fraction` of the pool, whole groups, each stratum in proportion; empty if it cannot be."""
    if not fraction or not len(pool):
        return []
    found = _grouped(files, pool, strata, groups, seed)
    chosen: list[Ints] = []
    for stratum in np.unique(found.stratum):
        chosen += _take([found.members[g] for g in np.flatnonzero(found.stratum == stratum)], fraction)
    if not chosen and len(found.members) > 1:
        chosen = [min(found.members, key=len)]
    return [int(i) for group in _with_every_stratum_left(chosen, pool, strata) for i in group]


def _take(candidates: list[Ints], fraction: float) -> list[Ints]:
    """Groups in their order while each brings the number of images nearer to the fraction; one at least, never all."""
    if len(candidates) < 2:
        return []
    taken: list[Ints] = []
    missing = max(1, round(fraction * sum(map(len, candidates))))
    for group in candidates:
        if len(group) <= 2 * missing - 1 and len(taken) < len(candidates) - 1:
            taken.append(group)
            missing -= len(group)
    return taken or [min(candidates, key=len)]


def _with_every_stratum_left(chosen: list[Ints], pool: Ints, strata: Ints) -> list[Ints]:
    """Gives groups back, as long as others remain chosen, until each stratum of the pool has an image outside."""
    kept = list(chosen)
    for stratum in np.unique(strata[pool]):
        if len(kept) > 1 and np.isin(pool[strata[pool] == stratum], np.concatenate(kept)).all():
            del kept[next(k for k, group in enumerate(kept) if (strata[group] == stratum).any())]
    return kept
