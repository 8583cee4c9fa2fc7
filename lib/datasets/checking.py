"""Everything that is wrong with a data set, found in one go rather than one error a run."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lib.config import Settings
from lib.datasets.base import Card
from lib.datasets.cards import foreground, read_card
from lib.datasets.declared import Declared
from lib.datasets.file_memory import measure_files
from lib.datasets.images import read_reduced, read_rgb
from lib.datasets.layouts import LAYOUTS, Contents
from lib.datasets.loading import divide, locate, no_images, read_declarations
from lib.datasets.perceptual import near_duplicate_pairs
from lib.datasets.pictures import Pictures, measure_picture, pictures_of
from lib.errors import DataSetError

_COMPARED_PX = 64
_SAME_CORRELATION = 0.98


@dataclass(frozen=True)
class CheckReport:
    """What was looked at and every problem found, each a sentence with the file and the line or field."""

    name: str
    root: Path
    n_images: int
    problems: tuple[str, ...]


def check_data_set(spec: str | Path, settings: Settings) -> CheckReport:
    """Reads a data set whole (every image to its last byte, every mask, every row) and lists all problems.

    Raises DataSetError only where there is no such folder.
    """
    root, _ = locate(spec, settings)
    try:
        card = read_card(root)
    except DataSetError as error:
        return CheckReport(root.name, root, 0, (str(error),))
    files = LAYOUTS[card.layout].files(root)
    if not files:
        return CheckReport(card.name, root, 0, (no_images(root, card),))
    pictures, unreadable = _read_all(root, files)
    return CheckReport(card.name, root, len(files), (*unreadable, *_problems(root, card, pictures, settings)))


def _read_all(root: Path, files: list[str]) -> tuple[Pictures, list[str]]:
    """The readable pictures, and a sentence for each of the others."""
    measured = measure_files(root, files, _read_whole, kind="images", cache_dir=None)
    good = [i for i, values in enumerate(measured) if len(values) > 1]
    pictures = pictures_of([files[i] for i in good], [measured[i] for i in good])
    return pictures, [str(values[0]) for values in measured if len(values) == 1]


def _read_whole(path: Path) -> list[Any]:
    try:
        read_rgb(path)
        return measure_picture(path)
    except DataSetError as error:
        return [str(error)]


def _problems(root: Path, card: Card, pictures: Pictures, settings: Settings) -> Iterator[str]:
    try:
        contents = LAYOUTS[card.layout].read(root, foreground(card), pictures, settings.cache_dir)
    except DataSetError as error:
        yield str(error)
        return
    yield from contents.errors
    yield from contents.flaws
    yield from _copies(pictures, contents)
    if card.group and not any(re.search(card.group, file.rsplit("/", 1)[-1]) for file in pictures.files):
        yield f"{root}: the card's group {card.group!r} matches no file name"
    try:
        declared = read_declarations(root, pictures, contents)
        for told in filter(None, (declared.split, declared.folds)):
            yield from (*told.errors, *told.flaws)
            yield from _straddling(root, pictures, told, settings.split.near_duplicate_bits)
        if not contents.errors and not declared.errors:
            divide(root, card, pictures, contents, declared, settings.split)
    except DataSetError as error:
        yield str(error)


def _copies(pictures: Pictures, contents: Contents) -> Iterator[str]:
    """One sentence a group of images with the same bytes."""
    groups: dict[str, list[int]] = defaultdict(list)
    for i, digest in enumerate(pictures.digests):
        groups[digest].append(i)
    for members in groups.values():
        if len(members) < 2:
            continue
        names = ", ".join(pictures.files[i] for i in members[:4]) + ", …" * (len(members) > 4)
        differ = contents.labels is not None and len({int(contents.labels[i]) for i in members}) > 1
        end = ", and they lie in different classes" * differ
        yield f"{len(members)} images are the same file: {names}{end}"


def _straddling(root: Path, pictures: Pictures, told: Declared, bits: int) -> Iterator[str]:
    """Pairs of near-duplicates of which one is declared test and the other elsewhere, or in different folds."""
    for i, j in near_duplicate_pairs(pictures.hashes, bits):
        places = [str(told.values[i]), str(told.values[j])]
        apart = (
            places[0] != places[1] and ("test" in places or places[0].isdecimal()) and "unused" not in places
        )
        if apart and _nearly_equal(root, pictures, i, j):
            yield (
                f"{pictures.files[i]} ({places[0]}) and {pictures.files[j]} ({places[1]}) are nearly the same image "
                "in different parts of the set's own split or folds: the test would be too easy"
            )


def _nearly_equal(root: Path, pictures: Pictures, i: int, j: int) -> bool:
    """Whether two images correlate almost fully: images of one kind can share a perceptual hash without being copies."""
    first, second = (_thumbnail(root / pictures.files[k]) for k in (i, j))
    return float((first * second).sum()) >= _SAME_CORRELATION


def _thumbnail(path: Path) -> npt.NDArray[np.float64]:
    """Grey, zero mean, unit norm; all 0 for an image of one grey level."""
    picture = read_reduced(path, 4 * _COMPARED_PX**2).convert("L").resize((_COMPARED_PX, _COMPARED_PX))
    grey = np.asarray(picture, dtype=np.float64)
    centred = grey - grey.mean()
    return centred / max(float(np.linalg.norm(centred)), 1e-9)
