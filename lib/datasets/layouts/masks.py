"""Layout `masks`: images/* and masks/<same name>.png, where a pixel is a class index and 0 is the background."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from lib.datasets.file_memory import measure_files
from lib.datasets.images import image_files, read_indices
from lib.datasets.layouts.base import LAYOUTS, MOST_MASK_CLASSES, Contents, Masks, unseen
from lib.datasets.pictures import Pictures
from lib.errors import DataSetError
from lib.records.schema import Task

WHITE = 255
_NO_INDICES = (
    f"holds the value {{}}, but masks hold class indices up to {MOST_MASK_CLASSES}; save indices, "
    "or name the classes in dataset.yaml"
)


class ImagesAndMasks:
    """Segmentation by index masks. In a set of one class, 255 means 1: black-and-white masks are common."""

    task: Task = "segmentation"

    def recognises(self, root: Path) -> bool:
        """images/ and masks/ side by side."""
        return (root / "images").is_dir() and (root / "masks").is_dir()

    def class_names(self, root: Path) -> tuple[str, ...]:
        """background, class_1 … up to the largest index in any mask."""
        highest = 0
        for file in image_files(root / "masks"):
            values = set(np.unique(read_indices(root / "masks" / file)).tolist()) - {0}
            highest = max(highest, 1 if values == {WHITE} else max(values, default=0))
            if highest > MOST_MASK_CLASSES:
                raise DataSetError(f"{root / 'masks' / file}: {_NO_INDICES.format(highest)}")
        if not highest:
            raise DataSetError(
                f"{root / 'masks'}: no mask has a pixel above 0, so there is no class to learn"
            )
        return ("background", *(f"class_{i}" for i in range(1, highest + 1)))

    def files(self, root: Path) -> list[str]:
        """Everything below images/."""
        return [f"images/{file}" for file in image_files(root / "images")]

    def read(
        self, root: Path, classes: tuple[str, ...], pictures: Pictures, cache_dir: Path | None
    ) -> Contents:
        """Areas and digests of all masks; the masks themselves are read when asked for."""
        folder, wanted = root / "masks", [_mask_of(file) for file in pictures.files]
        there = set(image_files(folder))
        present = [mask for mask in wanted if mask in there]
        measured = measure_files(folder, present, _measure_mask, kind="masks 1", cache_dir=cache_dir)
        by_name = dict(zip(present, measured, strict=True))
        areas = np.zeros((len(wanted), len(classes)), dtype=np.int64)
        errors: list[str] = []
        for i, mask in enumerate(wanted):
            if problem := _problem(by_name.get(mask), pictures.sizes[i], len(classes)):
                errors.append(f"{folder / mask}: {problem}")
                continue
            for value, count in by_name[mask][3]:
                if value:
                    areas[i, _class_index(value, len(classes)) - 1] += count
        digests = tuple(str(by_name[mask][0]) if mask in by_name else "" for mask in wanted)
        masks = Masks(areas, digests, lambda i: _read_mask(folder / wanted[i], len(classes)))
        images = Counter(_mask_of(file) for file in self.files(root))
        flaws = (
            *(f"{folder / m}: a mask without an image of the same name" for m in sorted(there - set(images))),
            *(
                f"{folder / mask}: two images share this mask, their names differ in the suffix only"
                for mask in sorted(mask for mask, count in images.items() if count > 1)
            ),
            *unseen(classes, areas.sum(axis=0), "pixel in any mask"),
        )
        return Contents(masks=masks, errors=tuple(errors), flaws=flaws)


def _mask_of(image: str) -> str:
    return PurePosixPath(image).relative_to("images").with_suffix(".png").as_posix()


def _class_index(value: int, n_classes: int) -> int:
    return 1 if value == WHITE and n_classes == 1 else value


def _measure_mask(path: Path) -> list[Any]:
    try:
        indices = read_indices(path)
    except DataSetError as error:
        return ["", 0, 0, [], str(error).removeprefix(f"{path}: ")]
    values, counts = np.unique(indices, return_counts=True)
    digest = hashlib.sha256(indices.astype(np.int32).tobytes()).hexdigest()
    if len(values) > MOST_MASK_CLASSES + 2:
        return ["", 0, 0, [], f"holds {len(values)} different values; masks hold class indices"]
    pairs = [[int(v), int(c)] for v, c in zip(values, counts, strict=True)]
    return [digest, indices.shape[0], indices.shape[1], pairs, ""]


def _problem(measured: list[Any] | None, size: npt.NDArray[np.int64], n_classes: int) -> str:
    if measured is None:
        return "there is no such mask for the image of that name (without defects it needs an all-0 mask)"
    _, height, width, pairs, error = measured
    if error:
        return str(error)
    if (height, width) != tuple(size):
        return f"the mask is {height}×{width} but its image is {size[0]}×{size[1]} (height×width)"
    beyond = [value for value, _ in pairs if not 0 <= _class_index(value, n_classes) <= n_classes]
    if beyond:
        return f"holds the value {beyond[0]}, but the card names classes up to index {n_classes}"
    return ""


def _read_mask(path: Path, n_classes: int) -> npt.NDArray[np.bool_]:
    indices = read_indices(path)
    if n_classes == 1:
        return (indices > 0)[None]
    return indices[None] == np.arange(1, n_classes + 1)[:, None, None]


LAYOUTS.register("masks")(ImagesAndMasks())
