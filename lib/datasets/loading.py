"""Path or name → data set: the card, the files, labels or masks, fingerprints and the split, then the views."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lib.config import Settings, SplitSettings
from lib.datasets.base import Card, DataSet
from lib.datasets.cards import foreground, read_card
from lib.datasets.declared import Declared, read_folds, read_split
from lib.datasets.derived import apply_view, dominant
from lib.datasets.groups import keep_together
from lib.datasets.images import image_files
from lib.datasets.layouts import LAYOUTS, Contents
from lib.datasets.pictures import Pictures, measure_pictures
from lib.datasets.splits import Ints, Parts, assign_parts, cross_validation
from lib.errors import DataSetError
from lib.files import short_hash

VIEW_MARK = "@"


def load_data_set(spec: str | Path, settings: Settings, *, unlabelled: bool = False) -> DataSet:
    """The data set of `PATH`, `NAME` (below settings.datasets_dir) or either followed by views: `neu_cls@binary@train10`. With
    `unlabelled`, a folder of images that has no card and no recognisable layout is read as load_images_only does. Raises
    DataSetError that names the file and the line or field at fault; where there are several, it says how many."""
    root, views = locate(spec, settings)
    if unlabelled and not _is_labelled(root):
        return load_images_only(spec, settings)
    card = read_card(root)
    files = LAYOUTS[card.layout].files(root)
    if not files:
        raise DataSetError(no_images(root, card))
    pictures = measure_pictures(root, files, settings.cache_dir)
    contents = LAYOUTS[card.layout].read(root, foreground(card), pictures, settings.cache_dir)
    declared = read_declarations(root, pictures, contents)
    if errors := (*contents.errors, *declared.errors):
        more = f" (and {len(errors) - 1} more problems; `dataset.py check {root}` lists all)"
        raise DataSetError(errors[0] + more * (len(errors) > 1))
    data_set = _assembled(root, card, pictures, contents, declared, settings)
    for view in views:
        data_set = apply_view(data_set, view, settings)
    return data_set


def load_images_only(spec: str | Path, settings: Settings) -> DataSet:
    """All images below a folder, without labels or masks: classes (), labels None, every part `train`. Enough for meta-features
    and recommendations. Raises DataSetError where there is no image or one cannot be read."""
    root, views = locate(spec, settings)
    if views:
        raise DataSetError(f"{spec}: images without labels have no views; leave out @{'@'.join(views)}")
    files = image_files(root)
    if not files:
        raise DataSetError(f"{root}: there are no images in this folder")
    pictures = measure_pictures(root, files, settings.cache_dir)
    name = root.resolve().name.replace(VIEW_MARK, "_")
    return DataSet(
        name=name,
        card=Card(name=name, task="classification", layout="folders", classes=()),
        root=root,
        task="classification",
        classes=(),
        files=pictures.files,
        parts=np.full(len(files), "train", dtype="<U10"),
        fingerprint=pictures.fingerprint,
        images_fingerprint=pictures.fingerprint,
        hashes=pictures.hashes,
        sizes=pictures.sizes,
    )


def locate(spec: str | Path, settings: Settings) -> tuple[Path, tuple[str, ...]]:
    """(folder, views) of a spec; a folder whose own name holds an @ is found too. Raises DataSetError if there is none."""
    text = str(spec).rstrip("/")
    path = text
    views: list[str] = []
    while True:
        for candidate in (os.path.expanduser(path), settings.datasets_dir / path):
            if path.strip() and os.path.isdir(candidate):
                return Path(candidate), tuple(views)
        path, mark, view = path.rpartition(VIEW_MARK)
        if not mark:
            wanted = text.split(VIEW_MARK)[0]
            raise DataSetError(
                f"there is no data set '{wanted}': neither a folder of that path nor one in {settings.datasets_dir}"
            )
        views.insert(0, view)


def no_images(root: Path, card: Card) -> str:
    """What is said of a folder with a layout and nothing in it."""
    return f"{root}: layout {card.layout}, but there are no images in it"


def _is_labelled(root: Path) -> bool:
    return os.path.lexists(root / "dataset.yaml") or any(LAYOUTS[name].recognises(root) for name in LAYOUTS)


@dataclass(frozen=True)
class Declarations:
    """What a set says of its own split (splits.csv, else its folders) and of its folds (folds.csv); None where silent."""

    split: Declared | None
    folds: Declared | None

    @property
    def errors(self) -> tuple[str, ...]:
        """What is wrong with either."""
        return tuple(error for told in (self.split, self.folds) if told for error in told.errors)


def read_declarations(root: Path, pictures: Pictures, contents: Contents) -> Declarations:
    """Raises DataSetError where a table cannot be read."""
    split = read_split(root, pictures.files)
    if split is None and contents.parts is not None:
        split = Declared(contents.parts)
    return Declarations(split, read_folds(root, pictures.files))


def divide(
    root: Path,
    card: Card,
    pictures: Pictures,
    contents: Contents,
    declared: Declarations,
    settings: SplitSettings,
) -> tuple[Parts, tuple[Parts, ...]]:
    """The own split (n,), and the parts (n,) of each fold; raises DataSetError where the set cannot be divided."""
    own = declared.split.values if declared.split else None
    try:
        groups = keep_together(pictures, settings.near_duplicate_bits, card.group)
        how = (pictures.files, _strata(contents), groups, settings)
        folds = declared.folds.values if declared.folds else None
        unused = None if own is None else own == "unused"
        parts = assign_parts(*how, own)
        # Generated images come from the own split's train part: in folds they would be tested, or test what they come from.
        return parts, () if card.generated else cross_validation(*how, folds, unused)
    except DataSetError as error:
        raise DataSetError(f"{root}: {error}") from error


def _strata(contents: Contents) -> Ints:
    """The class (n,) of each image, of masks the one with the largest area."""
    if contents.masks:
        return dominant(contents.masks.areas)
    assert contents.labels is not None, "a layout gives labels or masks"
    return contents.labels


def _assembled(
    root: Path, card: Card, pictures: Pictures, contents: Contents, declared: Declarations, settings: Settings
) -> DataSet:
    masks = contents.masks
    parts, folds = divide(root, card, pictures, contents, declared, settings.split)
    told = "\n".join((pictures.fingerprint, card.task, *foreground(card))).encode()
    truth = "\n".join(masks.digests).encode() if masks else _strata(contents).tobytes()
    return DataSet(
        name=card.name,
        card=card,
        root=root,
        task=card.task,
        classes=foreground(card),
        files=pictures.files,
        parts=parts,
        fingerprint=short_hash(told + b"\0" + truth),
        images_fingerprint=pictures.fingerprint,
        folds=folds,
        labels=contents.labels,
        read_mask=None if masks is None else masks.read,
        parent=card.parent,
        derivation=card.derivation,
        hashes=pictures.hashes,
        sizes=pictures.sizes,
        mask_areas=None if masks is None else masks.areas,
    )
