"""Everything that is wrong with a data set, found in one go rather than one error a run."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lib.config import Settings
from lib.datasets.base import Card
from lib.datasets.cards import CARD_FILE, foreground, read_card
from lib.datasets.declared import Declared
from lib.datasets.file_memory import measure_files
from lib.datasets.groups import named_groups
from lib.datasets.images import read_reduced, read_rgb
from lib.datasets.layouts import LAYOUTS, Contents
from lib.datasets.loading import divide, locate, no_images, read_declarations
from lib.datasets.perceptual import near_duplicate_pairs
from lib.datasets.pictures import Pictures, measure_picture, pictures_of
from lib.datasets.splits import Parts
from lib.errors import DataSetError, printable

_COMPARED_PX = 64
_SAME_CORRELATION = 0.98
_MOST_PROBLEMS = 500


@dataclass(frozen=True)
class CheckReport:
    """What was looked at and every problem found, each a sentence with the file and the line or field."""

    name: str
    root: Path
    n_images: int
    problems: tuple[str, ...]


def check_data_set(spec: str | Path, settings: Settings) -> CheckReport:
    """Reads a data set whole (every image to its last byte, every mask, every row) and lists all problems, the first 500 of very
    many. Raises DataSetError only where there is no such folder."""
    root, _ = locate(spec, settings)
    try:
        card = read_card(root)
        files = LAYOUTS[card.layout].files(root)
        if not files:
            raise DataSetError(no_images(root, card))
    except DataSetError as error:
        return CheckReport(root.name, root, 0, _shown([str(error)]))
    measured = measure_files(root, files, _read_whole, kind="images", cache_dir=None)
    good = [i for i, values in enumerate(measured) if len(values) > 1]
    pictures = pictures_of([files[i] for i in good], [measured[i] for i in good])
    unreadable = (str(values[0]) for values in measured if len(values) == 1)
    found = [*unreadable, *_problems(root, card, pictures, settings)]
    return CheckReport(card.name, root, len(files), _shown(found))


def _shown(problems: list[str]) -> tuple[str, ...]:
    """Problems as a terminal may show them: what comes from files holds control characters, or there are thousands."""
    more = [f"and {len(problems) - _MOST_PROBLEMS} more"] * (len(problems) > _MOST_PROBLEMS)
    return tuple(" ".join(printable(one).split("\n")) for one in [*problems[:_MOST_PROBLEMS], *more])


def _read_whole(path: Path) -> list[Any]:
    """What is measured on a picture, or only the sentence that says why it cannot be read."""
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
    try:
        if card.group and not any(name is not None for name in named_groups(pictures.files, card.group)):
            yield f"{root / CARD_FILE}: group {card.group!r} matches no file name"
        declared = read_declarations(root, pictures, contents)
        for told in filter(None, (declared.split, declared.folds)):
            yield from (*told.errors, *told.flaws)
            yield from _straddling(root, pictures, told, settings.split.near_duplicate_bits)
        if not contents.errors and not declared.errors:
            own, folds = divide(root, card, pictures, contents, declared, settings.split)
            yield from _unlearnable(foreground(card), contents, own, folds)
    except DataSetError as error:
        yield str(error)


def _unlearnable(
    classes: Sequence[str], contents: Contents, own: Parts, folds: Sequence[Parts]
) -> Iterator[str]:
    """Classes that a network could not learn, or that nobody could test."""
    if contents.masks:
        holds = contents.masks.areas > 0
    else:
        assert contents.labels is not None, "a layout gives labels or masks"
        holds = contents.labels[:, None] == np.arange(len(classes))
        if holds.any(axis=0).sum() == 1:
            yield "all images are of one class; two or more are needed to tell apart"
            return
    lower = Counter(name.lower() for name in classes)
    for k, name in enumerate(classes):
        n = int(holds[own != "unused", k].sum())
        missing = [part for part in ("train", "test") if n and not holds[own == part, k].any()]
        if n and not all(holds[fold == "train", k].any() for fold in folds):
            yield (
                f"class '{name}' is too small to split: {n} image(s) that stay together cannot be in train and test"
            )
        elif missing:
            yield f"class '{name}' has no image in the {' and '.join(missing)} part of the set's own split"
        if lower[name.lower()] > 1:
            yield f"class '{name}' has the name of another one but for upper and lower case"


def _copies(pictures: Pictures, contents: Contents) -> Iterator[str]:
    """One sentence a group of images with the same bytes."""
    groups: dict[str, list[int]] = defaultdict(list)
    for i, digest in enumerate(pictures.digests):
        groups[digest].append(i)
    for members in (group for group in groups.values() if len(group) > 1):
        names = ", ".join(pictures.files[i] for i in members[:4]) + ", …" * (len(members) > 4)
        differ = contents.labels is not None and len({int(contents.labels[i]) for i in members}) > 1
        end = ", and they lie in different classes" * differ
        yield f"{len(members)} images are the same file: {names}{end}"


def _straddling(root: Path, pictures: Pictures, told: Declared, bits: int) -> Iterator[str]:
    """Pairs of near-duplicates of which one is declared test and the other elsewhere, or in different folds."""
    for i, j in near_duplicate_pairs(pictures.hashes, bits):
        places = [str(told.values[i]), str(told.values[j])]
        matters = ("test" in places or places[0].isdecimal()) and "unused" not in places
        if places[0] == places[1] or not matters:
            continue
        # Images of one kind can share a perceptual hash without being copies; copies correlate almost fully.
        first, second = (_thumbnail(root / pictures.files[k]) for k in (i, j))
        if float((first * second).sum()) >= _SAME_CORRELATION:
            yield (
                f"{pictures.files[i]} ({places[0]}) and {pictures.files[j]} ({places[1]}) are nearly the same image "
                "in different parts of the set's own split or folds: the test would be too easy"
            )


def _thumbnail(path: Path) -> npt.NDArray[np.float64]:
    """Grey, zero mean, unit norm; all 0 for an image of one grey level."""
    picture = read_reduced(path, 4 * _COMPARED_PX**2).convert("L").resize((_COMPARED_PX, _COMPARED_PX))
    grey = np.asarray(picture, dtype=np.float64)
    centred = grey - grey.mean()
    return centred / max(float(np.linalg.norm(centred)), 1e-9)
