"""Layout `severstal`: train_images/* and train.csv with one run-length row a defect class of an image, as on Kaggle."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lib.datasets.images import image_files
from lib.datasets.layouts.base import LAYOUTS, Contents, Masks
from lib.datasets.pictures import Pictures
from lib.datasets.rle import Runs, fill, parse
from lib.errors import DataSetError
from lib.files import read_rows
from lib.records.schema import Task

TABLE = "train.csv"
FOLDER = "train_images"
COLUMNS = ("ImageId", "ClassId", "EncodedPixels")
_MOST_CLASSES = 254
_FIRST_FORMAT = ("ImageId_ClassId", "EncodedPixels")


@dataclass(frozen=True)
class Defect:
    """One row of train.csv: `text` encodes the pixels of class `class_id` (as written, from 1) in `image`."""

    line: int
    image: str
    class_id: str
    text: str


def read_defects(table: Path) -> list[Defect]:
    """Rows of a train.csv in Kaggle's present or first format (`0002cc93b.jpg_1`), rows without pixels left out.

    Raises DataSetError for a table that cannot be read or lacks a column.
    """
    try:
        rows = read_rows(table, _FIRST_FORMAT)
    except DataSetError:
        rows = read_rows(table, COLUMNS)
    defects = []
    for row in rows:
        if "imageid" in row.values:
            image, class_id = row.values["imageid"], row.values["classid"]
        else:
            image, _, class_id = row.values["imageid_classid"].rpartition("_")
        text = row.values["encodedpixels"]
        if text and text.lower() != "nan":
            defects.append(Defect(row.line, image, class_id.removesuffix(".0"), text))
    return defects


class Severstal:
    """Segmentation by run-length rows; masks of different classes may overlap; an image without a row has no defect."""

    task: Task = "segmentation"

    def recognises(self, root: Path) -> bool:
        """train.csv and train_images/ side by side."""
        return (root / TABLE).is_file() and (root / FOLDER).is_dir()

    def class_names(self, root: Path) -> tuple[str, ...]:
        """background, 1 … up to the largest ClassId."""
        ids = [int(d.class_id) for d in read_defects(root / TABLE) if d.class_id.isdecimal()]
        if not ids:
            raise DataSetError(f"{root / TABLE}: no row has a ClassId, so there is no class to learn")
        return ("background", *(str(i) for i in range(1, min(max(ids), _MOST_CLASSES) + 1)))

    def files(self, root: Path) -> list[str]:
        """Everything below train_images/."""
        return [f"{FOLDER}/{file}" for file in image_files(root / FOLDER)]

    def read(
        self, root: Path, classes: tuple[str, ...], pictures: Pictures, cache_dir: Path | None
    ) -> Contents:
        """Checks every row against its image's size; masks are drawn when asked for."""
        if not (root / TABLE).is_file():
            return Contents(errors=(f"{root / TABLE}: there is no such file",))
        position = {file.removeprefix(f"{FOLDER}/"): i for i, file in enumerate(pictures.files)}
        found = _Found(root / TABLE, [{} for _ in pictures.files], [], set())
        for (image, class_id), rows in _by_mask(read_defects(root / TABLE)).items():
            found.add(rows, position.get(image), class_id, len(classes), pictures)
        areas = np.zeros((len(pictures.files), len(classes)), dtype=np.int64)
        for i, runs in enumerate(found.runs):
            for k, one in runs.items():
                areas[i, k] = one.area
        absent = [
            f"{root / TABLE}: names {image}, which is not in {FOLDER}" for image in sorted(found.absent)
        ]
        empty = [name for name, area in zip(classes, areas.sum(axis=0), strict=True) if not area]
        absent += [f"class '{name}' of the card has no row in {TABLE}" for name in empty]
        digests = tuple(map(_digest, found.runs))
        masks = Masks(areas, digests, lambda i: _draw(found.runs[i], (len(classes), *pictures.sizes[i])))
        return Contents(masks=masks, errors=tuple(found.errors), flaws=tuple(absent))


@dataclass(frozen=True)
class _Found:
    """What the rows gave so far: runs by class position for each image, errors, images that are not there."""

    table: Path
    runs: list[dict[int, Runs]]
    errors: list[str]
    absent: set[str]

    def add(
        self, rows: list[Defect], image: int | None, class_id: str, n_classes: int, pictures: Pictures
    ) -> None:
        """Files the rows of one image and class, or what is wrong with them."""
        where = f"{self.table}, line {' and '.join(str(row.line) for row in rows)}"
        if not class_id.isdecimal() or not 1 <= int(class_id) <= n_classes:
            self.errors.append(
                f"{where}: ClassId {class_id!r} is not one of 1…{n_classes}, the classes of the card"
            )
            return
        size = (None, None) if image is None else tuple(map(int, pictures.sizes[image]))
        try:
            runs = parse(" ".join(row.text for row in rows), *size)
        except DataSetError as error:
            self.errors.append(f"{where} ({rows[0].image}, class {class_id}): {error}")
            return
        if image is None:
            self.absent.add(rows[0].image)
        else:
            self.runs[image][int(class_id) - 1] = runs


def _by_mask(defects: list[Defect]) -> dict[tuple[str, str], list[Defect]]:
    rows: dict[tuple[str, str], list[Defect]] = defaultdict(list)
    for defect in defects:
        rows[defect.image, defect.class_id].append(defect)
    return rows


def _digest(runs: dict[int, Runs]) -> str:
    digest = hashlib.sha256()
    for k in sorted(runs):
        digest.update(f"{k}:".encode() + runs[k].starts.tobytes() + runs[k].lengths.tobytes())
    return digest.hexdigest()


def _draw(runs: dict[int, Runs], shape: tuple[int, int, int]) -> npt.NDArray[np.bool_]:
    masks = np.zeros(shape, dtype=bool)
    for k, one in runs.items():
        fill(one, masks[k])
    return masks


LAYOUTS.register("severstal")(Severstal())
