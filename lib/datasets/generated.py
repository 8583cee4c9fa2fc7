"""A data set with generated images in its train part: real ones everywhere else, marked, and tested on real images alone."""

from __future__ import annotations

import shutil
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
from PIL import Image

from lib.datasets.base import Card, DataSet
from lib.datasets.cards import refuse_to_overwrite, write_card
from lib.datasets.declared import SPLITS_FILE
from lib.errors import DataSetError
from lib.files import csv_text, staged_folder, write_atomically

PREFIX = "generated_"
Pictures = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


def labels_to_generate(data_set: DataSet, percent: int) -> Labels:
    """The classes (n,) of `percent` % as many images as the train part holds, each class with its share, at least one each."""
    assert data_set.labels is not None
    counts = np.bincount(data_set.labels[data_set.indices("train")], minlength=len(data_set.classes))
    wanted = [max(1, round(count * percent / 100)) if count else 0 for count in counts]
    return np.repeat(np.arange(len(counts)), wanted)


def write_generated(
    data_set: DataSet, folder: Path, pictures: Pictures, labels: Labels, percent: int, how: str
) -> Card:
    """Writes a folder of the set's own images, its parts as they are now, and `pictures` uint8 (n, h, w, 3) of the classes `labels`
    (n,) in the train part. The set divides in this one way only: the pictures were made from its train part, so other folds would
    test what they were made from. Raises DataSetError for a set without labels, or a folder that holds something else."""
    if data_set.labels is None:
        raise DataSetError(f"{data_set.name}: has no labels, so there are no classes to generate")
    refuse_to_overwrite(folder, lambda card: card.generated, "generated images")
    card = Card(
        name=folder.resolve().name.replace("@", "_"),
        domain=data_set.card.domain,
        task="classification",
        layout="folders",
        classes=data_set.classes,
        description=f"With generated images in the train part. {data_set.card.description}",
        licence=data_set.card.licence,
        source=f"real images of {data_set.name}; {how}",
        procedural=data_set.card.procedural,
        generated=True,
        parent=data_set.parent or data_set.name,
        derivation=f"{data_set.derivation + ' ' if data_set.derivation else ''}generated {percent}% {how}",
    )
    with staged_folder(folder) as stage:
        rows = [*_real(data_set, stage), *_drawn(data_set.classes, pictures, labels, stage)]
        write_atomically(stage / SPLITS_FILE, csv_text([("file", "split"), *rows]))
        write_card(stage, card)
    return card


def _real(data_set: DataSet, stage: Path) -> list[tuple[str, str]]:
    assert data_set.labels is not None
    rows = []
    for i in np.flatnonzero(data_set.parts != "unused"):
        source = PurePosixPath(data_set.files[i])
        name = "_".join(source.parts[1:] if len(source.parts) > 1 else source.parts)
        file = f"images/{data_set.classes[data_set.labels[i]]}/real_{name}"
        (stage / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(data_set.root / source, stage / file)
        rows.append((file, str(data_set.parts[i])))
    return rows


def _drawn(
    classes: tuple[str, ...], pictures: Pictures, labels: Labels, stage: Path
) -> list[tuple[str, str]]:
    rows = []
    for number, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        file = f"images/{classes[label]}/{PREFIX}{number:05d}.png"
        (stage / file).parent.mkdir(parents=True, exist_ok=True)
        grey = bool((picture == picture[..., :1]).all())
        Image.fromarray(picture[..., 0] if grey else picture).save(stage / file)
        rows.append((file, "train"))
    return rows


def is_drawn(data_set: DataSet) -> npt.NDArray[np.bool_]:
    """Which files (n,) were generated; none of a set whose card does not say so."""
    drawn = [PurePosixPath(file).name.startswith(PREFIX) for file in data_set.files]
    return np.array(drawn) & data_set.card.generated
