"""Masks → boxes: one annotation a connected component, in the shape of COCO's detection files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lib.datasets.base import DataSet
from lib.errors import DataSetError
from lib.files import write_atomically


@dataclass(frozen=True)
class Component:
    """A connected piece of one class's mask: its box in pixels, `class_index` in the set's classes, area in pixels."""

    class_index: int
    x: int
    y: int
    width: int
    height: int
    area: int

    def cut(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Its box out of an array (height, width)."""
        return array[self.y : self.y + self.height, self.x : self.x + self.width]


def components(masks: npt.NDArray[np.bool_]) -> list[Component]:
    """8-connected components of masks, bool (n_classes, height, width), by class, then top to bottom, left to right."""
    from scipy import ndimage  # a third of a second that sets without masks need not wait for

    found = []
    for k in np.flatnonzero(masks.any(axis=(1, 2))):
        labelled, n = ndimage.label(masks[k], structure=np.ones((3, 3), dtype=int))
        areas = np.bincount(labelled.reshape(-1), minlength=n + 1)[1:]
        for box, area in zip(ndimage.find_objects(labelled), areas, strict=True):
            (y, bottom), (x, right) = ((side.start, side.stop) for side in box)
            found.append(Component(int(k), x, y, right - x, bottom - y, int(area)))
    return sorted(found, key=lambda c: (c.class_index, c.y, c.x, c.height, c.width, c.area))


def annotate(data_set: DataSet) -> dict[str, Any]:
    """COCO's `info`, `categories`, `images`, `annotations`; ids from 1 in the order of the files. A category id is the class's
    index in the masks (the background is 0 and has no entry); a box is [x, y, width, height] in pixels from the upper left
    corner. Raises DataSetError for a set without masks."""
    if data_set.read_mask is None:
        raise DataSetError(f"{data_set.name}: has no masks to take boxes from (task {data_set.task})")
    description, name = data_set.card.description, data_set.name
    info = {"description": description, "data_set": name, "split_hash": data_set.split_hash}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for i, file in enumerate(data_set.files):
        masks = data_set.read_mask(i)
        _, height, width = masks.shape
        part = str(data_set.parts[i])
        images.append({"id": i + 1, "file_name": file, "height": height, "width": width, "split": part})
        for one in components(masks):
            place = {"id": len(annotations) + 1, "image_id": i + 1, "category_id": one.class_index + 1}
            box = [one.x, one.y, one.width, one.height]
            annotations.append({**place, "bbox": box, "area": one.area, "iscrowd": 0})
    return {
        "info": info,
        "categories": [{"id": k + 1, "name": name} for k, name in enumerate(data_set.classes)],
        "images": images,
        "annotations": annotations,
    }


def write_annotations(data_set: DataSet, file: Path) -> int:
    """Writes `annotate(data_set)` as JSON, one entry a line; returns the number of boxes. Raises DataSetError."""
    document = annotate(data_set)
    try:
        write_atomically(file, "".join(_lines(document)))
    except OSError as error:
        raise DataSetError(
            f"{file}: cannot be written: {error.strerror}; name another file with --to"
        ) from error
    return len(document["annotations"])


def _lines(document: dict[str, Any]) -> Iterator[str]:
    for n, (key, value) in enumerate(document.items()):
        yield f"{',' if n else '{'}\n{json.dumps(key)}: "
        if isinstance(value, list) and value:
            yield "[\n" + ",\n".join("  " + json.dumps(entry, ensure_ascii=False) for entry in value) + "\n]"
        else:
            yield json.dumps(value, ensure_ascii=False)
    yield "\n}\n"
