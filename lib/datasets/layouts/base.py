"""What a layout answers: which files are images, what they are labelled with, and everything wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from lib.datasets.images import image_files
from lib.datasets.pictures import Pictures
from lib.errors import DataSetError
from lib.records.schema import Task
from lib.registry import Registry


@dataclass(frozen=True)
class Masks:
    """`areas`: pixels int (n, n_classes); `digests`: one a file; `read(i)`: bool (n_classes, height, width)."""

    areas: npt.NDArray[np.int64]
    digests: tuple[str, ...]
    read: Callable[[int], npt.NDArray[np.bool_]]


@dataclass(frozen=True)
class Contents:
    """Labels or masks of the pictures. `errors` make the set unusable; `flaws` only deserve a look. `parts` (n,): what the
    folders themselves say of the split, as splits.csv would; None where they are silent."""

    labels: npt.NDArray[np.int64] | None = None
    masks: Masks | None = None
    parts: npt.NDArray[np.str_] | None = None
    errors: tuple[str, ...] = ()
    flaws: tuple[str, ...] = ()


class Layout(Protocol):
    """One way to lie on disk."""

    task: Task

    def recognises(self, root: Path) -> bool:
        """Whether a folder without a card looks like this layout."""

    def class_names(self, root: Path) -> tuple[str, ...]:
        """The classes of a folder whose card does not name them; raises DataSetError where there are none."""

    def files(self, root: Path) -> list[str]:
        """The images, relative to `root`, sorted."""

    def read(
        self, root: Path, classes: tuple[str, ...], pictures: Pictures, cache_dir: Path | None
    ) -> Contents:
        """Labels or masks of the pictures for the (foreground) `classes`, with all that is wrong."""


LAYOUTS: Registry[Layout] = Registry("layout")
MOST_MASK_CLASSES = 254
_NAMED = 10


def unseen(classes: Sequence[str], counts: Sequence[int], what: str) -> list[str]:
    """A flaw for each class without any of `what`, or one for all where they are many."""
    missing = [name for name, count in zip(classes, counts, strict=True) if not count]
    if len(missing) > _NAMED:
        return [f"{len(missing)} classes of the card have no {what}, the first is '{missing[0]}'"]
    return [f"class '{name}' of the card has no {what}" for name in missing]


def recognise(root: Path) -> str:
    """The name of the first layout a folder looks like; raises DataSetError that says what was looked for."""
    for name in LAYOUTS:
        if LAYOUTS[name].recognises(root):
            return name
    if (root / "train.csv").is_file():
        raise DataSetError(
            f"{root}: there is a train.csv but no folder train_images beside it; without its images this set "
            "cannot be read (`dataset.py download severstal` fetches Kaggle's)"
        )
    found = "it holds images without labels" if image_files(root) else "it holds no images"
    raise DataSetError(
        f"{root}: {found}; expected images/<class>/*.jpg, or images/ with masks/, or train.csv with train_images/, "
        "as dataset.yaml may say"
    )
