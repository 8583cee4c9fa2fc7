"""Layout `folders`: images/<class>/*, or <class>/* at the top; the folder is the label."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lib.datasets.images import image_files
from lib.datasets.layouts.base import LAYOUTS, Contents, Pictures
from lib.errors import DataSetError
from lib.records.schema import Task


class Folders:
    """Classification by folder."""

    task: Task = "classification"

    def recognises(self, root: Path) -> bool:
        """images/ with at least one folder of images, or at least two folders of images at the top."""
        if (root / "images").is_dir():
            return bool(_class_folders(root / "images"))
        return len(_class_folders(root)) > 1

    def class_names(self, root: Path) -> tuple[str, ...]:
        """Names of the class folders, sorted."""
        names = tuple(_class_folders(_base(root)))
        if not names:
            raise DataSetError(f"{_base(root)}: expected one folder of images a class, found none")
        return names

    def files(self, root: Path) -> list[str]:
        """All images inside class folders."""
        base = _base(root)
        prefix = "" if base == root else "images/"
        return [prefix + file for file in image_files(base) if "/" in file]

    def read(
        self, root: Path, classes: tuple[str, ...], pictures: Pictures, cache_dir: Path | None
    ) -> Contents:
        """Labels from the folders' names."""
        depth = 0 if _base(root) == root else 1
        position = {name: i for i, name in enumerate(classes)}
        names = [file.split("/")[depth] for file in pictures.files]
        unknown = sorted(set(names) - set(classes))
        empty = [name for name in classes if name not in set(names)]
        return Contents(
            labels=np.array([position.get(name, 0) for name in names], dtype=np.int64),
            errors=tuple(
                f"{_base(root) / name}: the card's classes do not name '{name}'; add it there or move the folder out"
                for name in unknown
            ),
            flaws=tuple(f"class '{name}' of the card has no image" for name in empty)
            + tuple(
                f"{root / 'images' / file}: lies in no class folder and is not used" for file in _loose(root)
            ),
        )


def _base(root: Path) -> Path:
    return root / "images" if (root / "images").is_dir() else root


def _class_folders(base: Path) -> list[str]:
    return sorted({file.split("/")[0] for file in image_files(base) if "/" in file})


def _loose(root: Path) -> list[str]:
    return [file for file in image_files(root / "images") if "/" not in file]


LAYOUTS.register("folders")(Folders())
