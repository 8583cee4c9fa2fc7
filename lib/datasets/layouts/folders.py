"""Layout `folders`: images/<class>/*, or <class>/* at the top; the folder is the label. train/<class>/* declares a part too."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lib.datasets.declared import PART_NAMES
from lib.datasets.images import image_files
from lib.datasets.layouts.base import LAYOUTS, Contents, unseen
from lib.datasets.pictures import Pictures
from lib.errors import DataSetError
from lib.records.schema import Task


class Folders:
    """Classification by folder."""

    task: Task = "classification"

    def recognises(self, root: Path) -> bool:
        """images/ with at least one folder of images, or at least two folders of images at the top."""
        files = image_files(_base(root))
        at_least = 1 if _base(root) != root or _has_parts(files) else 2
        return len(_class_names(files)) >= at_least

    def class_names(self, root: Path) -> tuple[str, ...]:
        """Names of the class folders, sorted."""
        names = _class_names(image_files(_base(root)))
        if not names:
            raise DataSetError(f"{_base(root)}: expected one folder of images a class, found none")
        return tuple(names)

    def files(self, root: Path) -> list[str]:
        """All images inside class folders."""
        base = _base(root)
        files = image_files(base)
        prefix, depth = "" if base == root else f"{base.name}/", _has_parts(files)
        return [prefix + file for file in files if file.count("/") > depth]

    def read(
        self, root: Path, classes: tuple[str, ...], pictures: Pictures, cache_dir: Path | None
    ) -> Contents:
        """Labels from the folders' names."""
        base = _base(root)
        everything = image_files(base)
        has_parts = _has_parts(everything)
        inside = [file.split("/")[base != root :] for file in pictures.files]
        names = [places[has_parts] for places in inside]
        parts = np.array([PART_NAMES[places[0].lower()] for places in inside]) if has_parts else None
        errors = [
            f"{base / name}: the card's classes do not name '{name}'; add it there or move the folder out"
            for name in sorted(set(names) - set(classes))
        ]
        loose = [file for file in everything if file.count("/") <= has_parts]
        flaws = unseen(classes, [names.count(name) for name in classes], "image")
        flaws += [f"{base / file}: lies in no class folder and is not used" for file in loose]
        position = {name: i for i, name in enumerate(classes)}
        labels = np.array([position.get(name, 0) for name in names], dtype=np.int64)
        return Contents(labels, parts=parts, errors=tuple(errors), flaws=tuple(flaws))


def _base(root: Path) -> Path:
    return root / "images" if (root / "images").is_dir() else root


def _has_parts(files: list[str]) -> bool:
    """Whether the first folders are named for parts (train, val, test, …) and hold class folders."""
    first = {file.split("/")[0].lower() for file in files if "/" in file}
    return bool(first) and first <= set(PART_NAMES) and any(file.count("/") > 1 for file in files)


def _class_names(files: list[str]) -> list[str]:
    has_parts = _has_parts(files)
    return sorted({file.split("/")[has_parts] for file in files if file.count("/") > has_parts})


LAYOUTS.register("folders")(Folders())
