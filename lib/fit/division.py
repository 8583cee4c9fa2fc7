"""Which images decide and which are only measured on: the test part is put aside before anything is chosen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lib.datasets import DataSet
from lib.datasets.declared import PART_NAMES, SPLITS_FILE
from lib.datasets.images import image_files
from lib.errors import DataSetError

FEWEST_OF_A_CLASS = 4
NAMED = 3

Parts = npt.NDArray[np.str_]


@dataclass(frozen=True)
class Division:
    """`inner`: without the test part, in folds of its own: all choices are made on it. `final`: everything but the test part
    trains. `told`: which images the test part holds, in words."""

    inner: DataSet
    final: DataSet
    told: str

    @property
    def test(self) -> npt.NDArray[np.int64]:
        """Positions of the test part."""
        return self.final.indices("test")


def divided(data_set: DataSet, test_fold: int | None = None) -> Division:
    """The set's own test part where it declares one, else that of fold `test_fold` (the last). Raises DataSetError where there
    is nothing to learn or nothing to measure on."""
    refuse(data_set)
    folds = list(data_set.divisions("folds"))
    if test_fold is None and declares_test(data_set):
        is_test, told = data_set.parts == "test", "the set's own test part"
    else:
        place = (len(folds) - 1 if test_fold is None else test_fold) % len(folds)
        is_test, told = folds.pop(place) == "test", f"fold {place + 1} of {len(folds) + 1}"
    if not is_test.any() or not folds:
        raise DataSetError(
            f"{data_set.root}: no images are left to test on; give it more images, or a splits.csv with a test part"
        )
    inner = tuple(np.where(is_test, "unused", parts).astype(parts.dtype) for parts in folds)
    used = np.isin(np.arange(len(data_set)), data_set.used)
    final = np.where(is_test, "test", np.where(used, "train", "unused")).astype(folds[0].dtype)
    return Division(
        replace(data_set, folds=_whole(inner), parts=inner[0]),
        replace(data_set, folds=(), parts=final),
        f"{told}: {int(is_test.sum())} images",
    )


def declares_test(data_set: DataSet) -> bool:
    """Whether the set itself says which images test: by splits.csv or by folders called test/."""
    tested = [data_set.files[i].split("/")[:-1] for i in data_set.indices("test")]
    by_folder = (any(PART_NAMES.get(name.lower()) == "test" for name in folders) for folders in tested)
    return bool(tested) and ((data_set.root / SPLITS_FILE).is_file() or all(by_folder))


def _whole(folds: Iterable[Parts]) -> tuple[Parts, ...]:
    """Folds that still test something; a fold whose validation part went with the test part gives up nothing else."""
    return tuple(parts for parts in folds if (parts == "test").any() and (parts == "train").any())


def with_validation(division: Division) -> DataSet:
    """`final`, with the validation part of the first inner fold kept aside: masks need one for their thresholds."""
    aside = division.inner.folds[0] == "validation"
    parts = np.where(aside, "validation", division.final.parts).astype(division.final.parts.dtype)
    return replace(division.final, parts=parts)


def refuse(data_set: DataSet) -> None:
    """Raises DataSetError, one sentence, for a set that nothing can be fitted to."""
    if data_set.labels is None and data_set.read_mask is None:
        raise DataSetError(_unlabelled(data_set))
    if data_set.task == "classification":
        _refuse_classes(data_set)
    elif not any(data_set.class_counts()):
        raise DataSetError(
            f"{data_set.root}: every mask is empty: there is nothing to learn; draw the defects into masks/"
        )


def _refuse_classes(data_set: DataSet) -> None:
    counts = dict(zip(data_set.classes, data_set.class_counts(), strict=True))
    there = {name: n for name, n in counts.items() if n}
    if len(there) < 2:
        only = f"one class ({next(iter(there))})" if there else "no class"
        raise DataSetError(
            f"{data_set.root}: {only} has images: there is nothing to tell apart; add a folder of another class"
        )
    few = [f"{name} ({n})" for name, n in there.items() if n < FEWEST_OF_A_CLASS]
    if few:
        more = f" and {len(few) - NAMED} more" if len(few) > NAMED else ""
        raise DataSetError(
            f"{data_set.root}: too few images to learn from, to choose by and to test on: {', '.join(few[:NAMED])}{more}; "
            f"every class needs {FEWEST_OF_A_CLASS} images, some 20 for numbers that say something"
        )


def _unlabelled(data_set: DataSet) -> str:
    n = len(image_files(data_set.root))
    return (
        f"{data_set.root}: {n} images without labels or masks: nothing can be fitted to them; put the images of each class "
        "into a folder of its own, or masks/ beside images/ (`recommend.py` says what to expect without labels)"
    )
