"""A train.csv whose images are not at hand, as Kaggle's tables are passed around: its masks still tell of the set."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np

from lib.datasets.base import Card, DataSet
from lib.datasets.layouts.severstal import FOLDER, TABLE, draw_masks, read_defects, read_mask
from lib.datasets.rle import Runs
from lib.errors import DataSetError
from lib.files import short_hash

HEIGHT_PX, WIDTH_PX = 256, 1600
"""Of every Severstal image: run lengths alone do not tell."""

MOST_CLASSES = 50


def has_masks_alone(root: Path) -> bool:
    """A train.csv and no train_images/ beside it."""
    return (root / TABLE).is_file() and not (root / FOLDER).is_dir()


def masks_alone(root: Path) -> DataSet:
    """The images that the table names (those without a defect it does not), all `train`; nothing of it can be read but masks.

    Raises DataSetError with the line of a row that is no mask of 256×1600.
    """
    defects = read_defects(root / TABLE)
    ids = [int(one.class_id) for one in defects if one.class_id.isdecimal()]
    if not ids or max(ids) > MOST_CLASSES:
        raise DataSetError(
            f"{root / TABLE}: ClassId goes from 1 to {MOST_CLASSES} at most, in one row at least"
        )
    runs: dict[str, dict[int, Runs]] = defaultdict(dict)
    for one in defects:
        try:
            k, parsed = read_mask([one], one.class_id, max(ids), HEIGHT_PX, WIDTH_PX)
        except DataSetError as error:
            raise DataSetError(f"{root / TABLE}, line {one.line}{error}") from error
        runs[one.image][k] = parsed
    files, drawn = tuple(sorted(runs)), [runs[image] for image in sorted(runs)]
    classes = tuple(str(k) for k in range(1, max(ids) + 1))
    areas = [[one[k].area if k in one else 0 for k in range(len(classes))] for one in drawn]
    name = root.resolve().name
    return DataSet(
        name=name,
        card=Card(name=name, task="segmentation", layout="severstal", classes=classes),
        root=root,
        task="segmentation",
        classes=classes,
        files=files,
        parts=np.full(len(files), "train"),
        fingerprint=short_hash((root / TABLE).read_bytes()),
        images_fingerprint="",
        read_mask=lambda i: draw_masks(drawn[i], (len(classes), HEIGHT_PX, WIDTH_PX)),
        sizes=np.tile([HEIGHT_PX, WIDTH_PX], (len(files), 1)),
        mask_areas=np.array(areas, dtype=np.int64),
    )
