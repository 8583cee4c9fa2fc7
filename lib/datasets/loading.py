"""Path or name → data set: the card, the files, labels or masks, fingerprints and the split, then the views."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lib.config import Settings
from lib.datasets.base import Card, DataSet
from lib.datasets.cards import foreground, read_card
from lib.datasets.derived import apply_view, dominant
from lib.datasets.fingerprints import fingerprint, images_fingerprint
from lib.datasets.groups import keep_together
from lib.datasets.images import image_files
from lib.datasets.layouts import LAYOUTS, Contents
from lib.datasets.pictures import Pictures, measure_pictures
from lib.datasets.splits import Declared, assign_parts, read_declared, split_hash
from lib.errors import DataSetError

VIEW_MARK = "@"


def load_data_set(spec: str | Path, settings: Settings, *, unlabelled: bool = False) -> DataSet:
    """The data set of `PATH`, `NAME` (below settings.datasets_dir) or either followed by views: `neu_cls@binary@train10`.

    With `unlabelled`, a folder of images that has no card and no recognisable layout is read as load_images_only does.
    Raises DataSetError that names the file and the line or field at fault; where there are several, it says how many.
    """
    root, views = locate(spec, settings)
    if unlabelled and not _is_labelled(root):
        return load_images_only(root, settings)
    card = read_card(root)
    files = LAYOUTS[card.layout].files(root)
    if not files:
        raise DataSetError(f"{root}: layout {card.layout}, but there are no images in it")
    pictures = measure_pictures(root, files, settings.cache_dir)
    contents = LAYOUTS[card.layout].read(root, foreground(card), pictures, settings.cache_dir)
    declared = declared_split(root, pictures, contents)
    _refuse(root, (*contents.errors, *(declared.errors if declared else ())))
    data_set = _assembled(root, card, pictures, contents, declared, settings)
    for view in views:
        data_set = apply_view(data_set, view, settings)
    return data_set


def load_images_only(spec: str | Path, settings: Settings) -> DataSet:
    """All images below a folder, without labels or masks: classes (), labels None, every part `train`.

    Enough for meta-features and recommendations. Raises DataSetError where there is no image or one cannot be read.
    """
    root, views = locate(spec, settings)
    if views:
        raise DataSetError(f"{spec}: images without labels have no views; leave out @{'@'.join(views)}")
    files = image_files(root) if root.is_dir() else []
    if not files:
        raise DataSetError(
            f"{root}: there are no images in this folder" if root.is_dir() else _not_found(root, settings)
        )
    pictures = measure_pictures(root, files, settings.cache_dir)
    name = root.resolve().name.replace(VIEW_MARK, "_")
    parts = np.full(len(files), "train", dtype="<U10")
    print_of_images = images_fingerprint(pictures)
    return DataSet(
        name=name,
        card=Card(name=name, task="classification", layout="folders", classes=()),
        root=root,
        task="classification",
        classes=(),
        files=pictures.files,
        parts=parts,
        fingerprint=print_of_images,
        images_fingerprint=print_of_images,
        split_hash=split_hash(files, parts),
        hashes=pictures.hashes,
        sizes=pictures.sizes,
    )


def locate(spec: str | Path, settings: Settings) -> tuple[Path, tuple[str, ...]]:
    """(folder, views) of a spec; a folder whose own name holds an @ is found too. Raises DataSetError if there is none."""
    text = str(spec).rstrip("/")
    path = text
    views: list[str] = []
    while True:
        for candidate in (Path(path).expanduser(), settings.datasets_dir / path):
            if path and candidate.is_dir():
                return candidate, tuple(views)
        path, mark, view = path.rpartition(VIEW_MARK)
        if not mark:
            raise DataSetError(_not_found(Path(text.split(VIEW_MARK)[0]), settings))
        views.insert(0, view)


def _is_labelled(root: Path) -> bool:
    return (root / "dataset.yaml").is_file() or any(LAYOUTS[name].recognises(root) for name in LAYOUTS)


def declared_split(root: Path, pictures: Pictures, contents: Contents) -> Declared | None:
    """The set's own split: splits.csv, else what its folders say; None for neither. Raises DataSetError."""
    declared = read_declared(root, pictures.files)
    if declared is None and contents.parts is not None:
        return Declared(contents.parts, (), ())
    return declared


def _refuse(root: Path, errors: tuple[str, ...]) -> None:
    if errors:
        more = f" (and {len(errors) - 1} more problems; `dataset.py check {root}` lists all)"
        raise DataSetError(errors[0] + (more if len(errors) > 1 else ""))


def _assembled(
    root: Path,
    card: Card,
    pictures: Pictures,
    contents: Contents,
    declared: Declared | None,
    settings: Settings,
) -> DataSet:
    masks = contents.masks
    strata = contents.labels if masks is None else dominant(masks.areas)
    assert strata is not None
    groups = keep_together(pictures, settings.split.near_duplicate_bits, card.group)
    try:
        own = declared.parts if declared else None
        parts = assign_parts(pictures.files, strata, groups, settings.split, own)
    except DataSetError as error:
        raise DataSetError(f"{root}: {error}") from error
    print_of_images = images_fingerprint(pictures)
    truth = strata.tobytes() if masks is None else "\n".join(masks.digests).encode()
    return DataSet(
        name=card.name,
        card=card,
        root=root,
        task=card.task,
        classes=foreground(card),
        files=pictures.files,
        parts=parts,
        fingerprint=fingerprint(print_of_images, card.task, foreground(card), truth),
        images_fingerprint=print_of_images,
        split_hash=split_hash(pictures.files, parts),
        labels=contents.labels,
        read_mask=None if masks is None else masks.read,
        parent=card.parent,
        derivation=card.derivation,
        hashes=pictures.hashes,
        sizes=pictures.sizes,
        mask_areas=None if masks is None else masks.areas,
    )


def _not_found(path: Path, settings: Settings) -> str:
    return f"there is no data set '{path}': neither a folder of that path nor one in {settings.datasets_dir}"
