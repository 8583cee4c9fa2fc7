"""The data set contract: a card, files, labels, masks and a split; images are read only when asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from lib.records.schema import DataSetInfo, Task

Part = Literal["train", "validation", "test", "unused"]


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
    parent: str | None = None
    derivation: str | None = None


@dataclass(frozen=True)
class DataSet:
    """Images with class labels and/or masks.

    `classes`: for classification the label names; for segmentation the mask classes without the background.
    `files`: image paths relative to `root`, posix, sorted: the images' ids. `labels`: int array (n,), classification only.
    `parts`: one of train, validation, test, unused for each file; `unused` files belong to a view's parent only.
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
    images_fingerprint: str = field(
        metadata={"doc": "hash of the image bytes alone: shared by all views of a folder"}
    )
    split_hash: str
    labels: npt.NDArray[np.int64] | None = None
    read_mask: Callable[[int], npt.NDArray[np.bool_]] | None = None
    parent: str | None = None
    derivation: str | None = None
    hashes: npt.NDArray[np.uint64] | None = field(
        default=None, metadata={"doc": "perceptual hash (n,) of each image"}
    )
    sizes: npt.NDArray[np.int64] | None = field(
        default=None, metadata={"doc": "height and width (n, 2) of each image in pixels"}
    )
    mask_areas: npt.NDArray[np.int64] | None = field(
        default=None,
        metadata={"doc": "pixels (n, n_mask_classes) of each image, also on views of a mask set"},
    )

    def __len__(self) -> int:
        return len(self.files)

    def read_image(self, index: int) -> npt.NDArray[np.uint8]:
        """RGB image (height, width, 3); raises DataSetError that names an unreadable file."""
        from lib.datasets.images import read_rgb

        return read_rgb(self.root / self.files[index])

    def indices(self, part: Part) -> npt.NDArray[np.int64]:
        """Positions of the files of one part."""
        return np.flatnonzero(self.parts == part)

    def class_counts(self) -> tuple[int, ...]:
        """Images a class, unused ones left out (segmentation: images in which the class has a pixel)."""
        used = np.flatnonzero(self.parts != "unused")
        if self.labels is not None:
            return tuple(int(c) for c in np.bincount(self.labels[used], minlength=len(self.classes)))
        if self.task == "segmentation" and self.mask_areas is not None:
            return tuple(int(c) for c in (self.mask_areas[used] > 0).sum(axis=0))
        if self.read_mask is None:
            return ()
        counts = np.zeros(len(self.classes), dtype=int)
        for index in used:
            counts += self.read_mask(int(index)).any(axis=(1, 2))
        return tuple(int(c) for c in counts)

    def info(self) -> DataSetInfo:
        """The part of a run record that describes this set."""
        return DataSetInfo(
            name=self.name,
            domain=self.card.domain,
            task=self.task,
            fingerprint=self.fingerprint,
            split_hash=self.split_hash,
            classes=self.classes,
            n_images=int((self.parts != "unused").sum()),
            n_train=len(self.indices("train")),
            n_validation=len(self.indices("validation")),
            n_test=len(self.indices("test")),
            class_counts=self.class_counts(),
            procedural=self.card.procedural,
            parent=self.parent,
            derivation=self.derivation,
        )
