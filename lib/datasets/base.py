"""The data set contract: a card, files, labels, masks and a split; images are read only when asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from lib.datasets.splits import split_hash
from lib.records.schema import DataSetInfo, Split, Task

Part = Literal["train", "validation", "test", "unused"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")


class Card(BaseModel):
    """dataset.yaml: the facts of a data set, written beside its images."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    domain: str = "unknown"
    task: Task
    layout: Literal["severstal", "folders", "masks"]
    classes: tuple[str, ...]
    description: str = ""
    licence: str = ""
    source: str = ""
    group: str | None = None
    procedural: bool = False
    generated: bool = False
    parent: str | None = None
    derivation: str | None = None


@dataclass(frozen=True)
class DataSet:
    """Images with class labels and/or masks.

    `classes`: for classification the label names; for segmentation the mask classes without the background.
    `files`: image paths relative to `root`, posix, sorted: the images' ids. `labels`: int array (n,), classification only.
    `parts`: one of train, validation, test, unused for each file; `unused` files belong to a view's parent only. A loaded
    set holds its own split there; `folds` are the parts of each cross-validation fold, `fold(…)` a set with those of one.
    `images_fingerprint`: hash of the image bytes alone, shared by all views of a folder. `hashes` (n,): perceptual hash,
    `sizes` (n, 2): height and width in pixels, `mask_areas` (n, n_mask_classes): pixels, also on views of a mask set.
    `read_mask(i)`: bool array (n_classes, height, width); masks of classes may overlap. None for classification sets.
    """

    name: str
    card: Card
    root: Path
    task: Task
    classes: tuple[str, ...]
    files: tuple[str, ...]
    parts: npt.NDArray[np.str_]
    fingerprint: str
    images_fingerprint: str
    folds: tuple[npt.NDArray[np.str_], ...] = ()
    labels: npt.NDArray[np.int64] | None = None
    read_mask: Callable[[int], npt.NDArray[np.bool_]] | None = None
    parent: str | None = None
    derivation: str | None = None
    hashes: npt.NDArray[np.uint64] | None = None
    sizes: npt.NDArray[np.int64] | None = None
    mask_areas: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.files)

    def read_image(self, index: int) -> npt.NDArray[np.uint8]:
        """RGB image (height, width, 3); raises DataSetError that names an unreadable file."""
        from lib.datasets.images import read_rgb

        return read_rgb(self.root / self.files[index])

    def indices(self, part: Part) -> npt.NDArray[np.int64]:
        """Positions of the files of one part."""
        return np.flatnonzero(self.parts == part)

    def divisions(self, split: Split) -> tuple[npt.NDArray[np.str_], ...]:
        """The parts (n,) of each fold: of the cross-validation, or the set's own split as the only one. Images without labels,
        and one fold of another set, have their parts only."""
        return self.folds if split == "folds" and self.folds else (self.parts,)

    def fold(self, split: Split, index: int) -> DataSet:
        """The same set with the parts of one fold."""
        return replace(self, parts=self.divisions(split)[index], folds=())

    @property
    def split_hash(self) -> str:
        """Hash of the parts, as they are now."""
        return split_hash(self.files, (self.parts,))

    @property
    def used(self) -> npt.NDArray[np.int64]:
        """Positions of the files that some fold trains on, validates or tests."""
        return np.flatnonzero((np.stack(self.divisions("folds")) != "unused").any(axis=0))

    def class_counts(self) -> tuple[int, ...]:
        """Used images a class (segmentation: images in which the class has a pixel)."""
        if self.labels is not None:
            return tuple(np.bincount(self.labels[self.used], minlength=len(self.classes)).tolist())
        if self.task == "segmentation" and self.mask_areas is not None:
            return tuple((self.mask_areas[self.used] > 0).sum(axis=0).tolist())
        return ()

    def info(self, split: Split = "folds") -> DataSetInfo:
        """The part of a run record that describes this set under one way of dividing it."""
        divisions = self.divisions(split)
        train, validation, test = ((np.stack(divisions) == part).sum(axis=1) for part in PARTS)
        return DataSetInfo(
            **{
                name: getattr(self, name)
                for name in ("name", "task", "fingerprint", "classes", "parent", "derivation")
            },
            domain=self.card.domain,
            split=split,
            n_folds=len(divisions),
            split_hash=split_hash(self.files, divisions),
            n_images=int((np.stack(divisions) != "unused").any(axis=0).sum()),
            n_train=round(float(train.mean())),
            n_validation=round(float(validation.mean())),
            n_test=int(test.sum()),
            class_counts=self.class_counts(),
            procedural=self.card.procedural,
            generated=self.card.generated,
        )
