"""Square patches around defects, and others without any, as a classification data set that knows where each came from."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields
from itertools import count, groupby, islice
from operator import itemgetter
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from lib.datasets.annotations import Component, components
from lib.datasets.base import PARTS, Card, DataSet
from lib.datasets.cards import refuse_to_overwrite, write_card
from lib.datasets.declared import FOLDS_FILE, SPLITS_FILE
from lib.datasets.derived import NO_DEFECT, class_label
from lib.datasets.splits import seeded_order
from lib.errors import DataSetError
from lib.files import csv_text, staged_folder, write_atomically

PROVENANCE_FILE = "provenance.csv"
_MARK = "patches "
_FEWEST_PIXELS = 16
_ALREADY_SHOWN = 0.5
_TRIES = 30
_FLAT = 1.0
_JPEG_QUALITY = 95


@dataclass(frozen=True)
class Square:
    """A square of an image, in pixels: upper left corner and side."""

    x: int
    y: int
    side: int

    def cut(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The square of an array (height, width)."""
        return array[self.y : self.y + self.side, self.x : self.x + self.side]


@dataclass(frozen=True)
class Patch:
    """One line of provenance: the patch, the image and square it was cut from, its class, the defect's pixels in it."""

    file: str
    split: str
    label: str
    source: str
    x: int
    y: int
    side: int
    defect_area: int


@dataclass(frozen=True)
class PatchSummary:
    """What was written: patches a class and a part."""

    card: Card
    counts: dict[str, dict[str, int]]


def write_patches(
    data_set: DataSet, folder: Path, *, size_px: int = 224, context: float = 0.25, seed: int = 0
) -> PatchSummary:
    """Cuts a set of masks into patches of size_px × size_px, layout `folders`, parts as those of the source images.

    `context` is the share of a defect's longer side added on each side. A square is never smaller than half of
    `size_px` (nothing is enlarged more than twice) nor larger than the image's shorter side; a longer defect is cut into
    several. The label is the class with the most pixels in the square. Of patches without any defect there are as many as of
    the commonest class of the same part, from clean images first, with the same sides as the patches around defects.
    Raises DataSetError for a set without masks, or a folder that holds something else than earlier patches.
    """
    if data_set.read_mask is None:
        raise DataSetError(f"{data_set.name}: has no masks to cut defects by (task {data_set.task})")
    refuse_to_overwrite(folder, lambda card: _MARK in (card.derivation or ""), "patches")
    plan = sorted(_defect_squares(data_set, size_px, context), key=lambda p: (p[0], p[1].y, p[1].x))
    if not plan:
        raise DataSetError(
            f"{data_set.name}: no defect of {_FEWEST_PIXELS} pixels or more to cut patches around"
        )
    plan += _clean_squares(data_set, plan, seed)
    card = _card(data_set, folder, [label for _, _, label, _ in plan], f"size={size_px} context={context:g}")
    with staged_folder(folder) as stage:
        patches = sorted(_cut(data_set, stage, plan, size_px), key=lambda patch: patch.file)
        tested_in = np.argmax(np.stack(data_set.folds) == "test", axis=0)
        fold_of = dict(zip(data_set.files, tested_in.tolist(), strict=True))
        tables: dict[str, list[tuple[object, ...]]] = {
            PROVENANCE_FILE: [tuple(f.name for f in fields(Patch)), *map(astuple, patches)],
            SPLITS_FILE: [("file", "split"), *((p.file, p.split) for p in patches)],
            FOLDS_FILE: [("file", "fold"), *((p.file, fold_of[p.source]) for p in patches)],
        }
        for name, rows in tables.items():
            write_atomically(stage / name, csv_text(rows))
        write_card(stage, card)
    found = Counter((patch.label, patch.split) for patch in patches)
    labels = dict.fromkeys(patch.label for patch in patches)
    return PatchSummary(card, {k: {part: found[k, part] for part in PARTS} for k in labels})


Planned = tuple[int, Square, str, int]
"""Image position, square, label, defect pixels in the square."""


def _defect_squares(data_set: DataSet, size_px: int, context: float) -> Iterator[Planned]:
    assert data_set.read_mask is not None and data_set.mask_areas is not None
    for i in np.flatnonzero((data_set.parts != "unused") & data_set.mask_areas.any(axis=1)):
        masks = data_set.read_mask(int(i))
        shown: dict[int, npt.NDArray[np.bool_]] = {}
        for component in sorted(components(masks), key=lambda c: (-c.area, c.y, c.x)):
            seen = shown.setdefault(component.class_index, np.zeros(masks.shape[1:], dtype=bool))
            if component.area < _FEWEST_PIXELS or component.cut(seen).mean() >= _ALREADY_SHOWN:
                continue
            for square in squares_around(component, masks.shape[1:], size_px, context):
                areas = [int(square.cut(mask).sum()) for mask in masks]
                if int(np.argmax(areas)) == component.class_index and max(areas) >= _FEWEST_PIXELS:
                    square.cut(seen)[:] = True
                    yield int(i), square, class_label(data_set.classes[component.class_index]), max(areas)


def squares_around(
    component: Component, shape: tuple[int, ...], size_px: int, context: float
) -> list[Square]:
    """Squares inside an image of `shape` (height, width) that cover a component with context; several along a long one."""
    height, width = shape
    limit = min(height, width)
    longer = max(component.width, component.height)
    side = min(limit, max(round(longer * (1 + 2 * context)), min(size_px // 2, limit)))
    xs = _starts(component.x, component.width, side, width)
    ys = _starts(component.y, component.height, side, height)
    return [Square(x, y, side) for y in ys for x in xs]


def _starts(start: int, length: int, side: int, limit: int) -> list[int]:
    """Where squares of `side` begin on one axis so that together they cover [start, start + length)."""
    if length <= side:
        return [int(np.clip(start + length // 2 - side // 2, 0, limit - side))]
    n = -(-length // side)
    return [int(np.clip(round(s), 0, limit - side)) for s in np.linspace(start, start + length - side, n)]


def _clean_squares(data_set: DataSet, plan: list[Planned], seed: int) -> list[Planned]:
    """Squares without a defect pixel, in each part as many as its commonest class has, clean images first."""
    assert data_set.read_mask is not None and data_set.mask_areas is not None
    found: list[Planned] = []
    for part in PARTS:
        around = [entry for entry in plan if data_set.parts[entry[0]] == part]
        wanted = max(Counter(label for _, _, label, _ in around).values(), default=0)
        order = seeded_order(data_set.files, data_set.indices(part), f"{seed}:clean")
        order = order[np.argsort(data_set.mask_areas[order].any(axis=1), kind="stable")]
        sides = [square.side for _, square, _, _ in around]
        found += islice(_in_rounds(data_set, order.tolist(), sides, seed), wanted)
    return found


def _in_rounds(data_set: DataSet, left: list[int], sides: list[int], seed: int) -> Iterator[Planned]:
    """One square an image and round; images that have no room for one drop out."""
    for turn in count():
        for i in list(left):
            square = _clean_square(data_set, i, sides, turn, seed)
            if square is None:
                left.remove(i)
            else:
                yield i, square, NO_DEFECT, 0
        if not left:
            return


def _clean_square(data_set: DataSet, i: int, sides: list[int], turn: int, seed: int) -> Square | None:
    """A seeded random square of image `i` without a defect and not of one flat grey; None after some tries."""
    assert data_set.read_mask is not None
    covered: npt.NDArray[np.bool_] = np.any(data_set.read_mask(i), axis=0)
    height, width = covered.shape
    grey = data_set.read_image(i)[..., 1]
    digest = hashlib.sha256(f"{seed}:{turn}:{data_set.files[i]}".encode()).digest()
    random = np.random.default_rng(list(digest[:16]))
    for _ in range(_TRIES):
        side = min(sides[int(random.integers(len(sides)))], height, width)
        square = Square(int(random.integers(width - side + 1)), int(random.integers(height - side + 1)), side)
        if not square.cut(covered).any() and square.cut(grey).std() > _FLAT:
            return square
    return None


def _cut(data_set: DataSet, stage: Path, plan: list[Planned], size_px: int) -> Iterator[Patch]:
    numbers: Counter[str] = Counter()
    for i, entries in groupby(sorted(plan, key=itemgetter(0)), key=itemgetter(0)):
        source = data_set.files[i]
        picture = Image.fromarray(data_set.read_image(i))
        stem = "_".join(PurePosixPath(source).with_suffix("").parts[1:])
        for _, square, label, area in entries:
            file = f"images/{label}/{stem}_{numbers[stem]:02d}.jpg"
            numbers[stem] += 1
            box = (square.x, square.y, square.x + square.side, square.y + square.side)
            patch = picture.resize((size_px, size_px), Image.Resampling.BICUBIC, box=box, reducing_gap=3.0)
            (stage / file).parent.mkdir(parents=True, exist_ok=True)
            channels = np.asarray(patch)
            grey = bool((channels == channels[..., :1]).all())
            (patch.convert("L") if grey else patch).save(stage / file, quality=_JPEG_QUALITY, subsampling=0)
            yield Patch(file, str(data_set.parts[i]), label, source, square.x, square.y, square.side, area)


def _card(data_set: DataSet, folder: Path, labels: list[str], options: str) -> Card:
    order = [NO_DEFECT, *(class_label(name) for name in data_set.classes)]
    return Card(
        name=folder.resolve().name.replace("@", "_"),
        domain=data_set.card.domain,
        task="classification",
        layout="folders",
        classes=tuple(name for name in order if name in set(labels)),
        description=f"Square patches around defects and without any. {data_set.card.description}",
        licence=data_set.card.licence,
        source=f"cut from {data_set.name}; {PROVENANCE_FILE} names image and square of each patch",
        group=r"(.+)_\d{2,}\.jpg",
        procedural=data_set.card.procedural,
        parent=data_set.parent or data_set.name,
        derivation=f"{data_set.derivation + ' ' if data_set.derivation else ''}{_MARK}{options}",
    )
