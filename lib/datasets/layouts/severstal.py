"""Layout `severstal`: train_images/* and train.csv with one run-length row a defect class of an image, as on Kaggle."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lib.datasets.images import image_files
from lib.datasets.layouts.base import LAYOUTS, MOST_MASK_CLASSES, Contents, Masks, unseen
from lib.datasets.pictures import Pictures
from lib.datasets.rle import Runs, fill, parse
from lib.errors import DataSetError
from lib.files import read_rows
from lib.records.schema import Task

TABLE = "train.csv"
FOLDER = "train_images"
COLUMNS = ("ImageId", "ClassId", "EncodedPixels")
_FIRST_FORMAT = ("ImageId_ClassId", "EncodedPixels")
_CLASS_ID = re.compile(r"0*([1-9][0-9]{0,8})(\.0)?")


@dataclass(frozen=True)
class Defect:
    """One row of train.csv: `text` encodes the pixels of class `class_id` (as written, from 1) in `image`."""

    line: int
    image: str
    class_id: str
    text: str


def read_defects(table: Path) -> list[Defect]:
    """Rows of a train.csv in Kaggle's present or first format (`0002cc93b.jpg_1`), rows without pixels left out. Raises
    DataSetError for a table that cannot be read or lacks a column."""
    try:
        rows = read_rows(table, _FIRST_FORMAT)
    except DataSetError:
        rows = read_rows(table, COLUMNS)
    defects = []
    for number, cells in rows:
        image, _, class_id = cells.get("imageid_classid", "").rpartition("_")
        image, class_id = cells.get("imageid", image), cells.get("classid", class_id)
        if (text := cells["encodedpixels"]) and text.lower() != "nan":
            match = _CLASS_ID.fullmatch(class_id)
            defects.append(Defect(number, image, match[1] if match else class_id[:20], text))
    return defects


class Severstal:
    """Segmentation by run-length rows; masks of different classes may overlap; an image without a row has no defect."""

    task: Task = "segmentation"

    def recognises(self, root: Path) -> bool:
        """train.csv and train_images/ side by side."""
        return (root / TABLE).is_file() and (root / FOLDER).is_dir()

    def class_names(self, root: Path) -> tuple[str, ...]:
        """background, 1 … up to the largest ClassId."""
        ids = [int(d.class_id) for d in read_defects(root / TABLE) if _CLASS_ID.fullmatch(d.class_id)]
        if not ids:
            raise DataSetError(f"{root / TABLE}: no row has a ClassId, so there is no class to learn")
        return ("background", *(str(i) for i in range(1, min(max(ids), MOST_MASK_CLASSES) + 1)))

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
        by_mask: dict[tuple[str, str], list[Defect]] = defaultdict(list)
        for defect in read_defects(root / TABLE):
            by_mask[defect.image, defect.class_id].append(defect)
        runs: list[dict[int, Runs]] = [{} for _ in pictures.files]
        errors, absent, flaws = [], set(), []
        for (image, class_id), rows in by_mask.items():
            size = tuple(map(int, pictures.sizes[position[image]])) if image in position else (None, None)
            flaws += [
                f"{root / TABLE}, line {row.line}: another row for {image} and class {class_id}, which line {rows[0].line} "
                "is for; join their runs in one row"
                for row in rows[1:]
            ]
            try:
                k, parsed = read_mask(rows, class_id, len(classes), *size)
            except DataSetError as error:
                lines = " and ".join(str(row.line) for row in rows)
                errors.append(f"{root / TABLE}, line {lines}{error}")
                continue
            if image in position:
                runs[position[image]][k] = parsed
            else:
                absent.add(image)
        areas = np.array([[one[k].area if k in one else 0 for k in range(len(classes))] for one in runs])
        areas = areas.astype(np.int64).reshape(-1, len(classes))
        flaws += [f"{root / TABLE}: names {image}, which is not in {FOLDER}" for image in sorted(absent)]
        flaws += unseen(classes, areas.sum(axis=0), f"row in {TABLE}")
        masks = Masks(
            areas,
            tuple(map(_digest, runs)),
            lambda i: draw_masks(runs[i], (len(classes), *pictures.sizes[i])),
        )
        return Contents(masks=masks, errors=tuple(errors), flaws=tuple(flaws))


def read_mask(
    rows: list[Defect], class_id: str, n_classes: int, height: int | None, width: int | None
) -> tuple[int, Runs]:
    """Position of the class and the runs of the rows of one image and class; raises DataSetError, to follow the line."""
    if not _CLASS_ID.fullmatch(class_id) or not 1 <= int(class_id) <= n_classes:
        raise DataSetError(f": ClassId {class_id!r} is not one of 1…{n_classes}, the classes of the card")
    try:
        return int(class_id) - 1, parse(" ".join(row.text for row in rows), height, width)
    except DataSetError as error:
        raise DataSetError(f" ({rows[0].image}, class {class_id}): {error}") from error


def _digest(runs: dict[int, Runs]) -> str:
    digest = hashlib.sha256()
    for k in sorted(runs):
        digest.update(f"{k}:".encode() + runs[k].starts.tobytes() + runs[k].lengths.tobytes())
    return digest.hexdigest()


def draw_masks(runs: dict[int, Runs], shape: tuple[int, int, int]) -> npt.NDArray[np.bool_]:
    """The masks (n_classes, height, width) of one image, from the runs of each class that it has."""
    masks = np.zeros(shape, dtype=bool)
    for k, one in runs.items():
        fill(one, masks[k])
    return masks


LAYOUTS.register("severstal")(Severstal())
