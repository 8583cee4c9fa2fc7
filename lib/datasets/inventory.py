"""What data sets lie in a folder, from their cards and file names alone."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from lib.datasets.cards import foreground, read_card
from lib.datasets.layouts import LAYOUTS
from lib.errors import DataSetError, printable


@dataclass(frozen=True)
class Entry:
    """One folder; `problem` says why it cannot be listed, its other fields are then empty."""

    folder: Path
    name: str
    domain: str = ""
    task: str = ""
    layout: str = ""
    images: int = 0
    classes: tuple[str, ...] = ()
    procedural: bool = False
    parent: str | None = None
    problem: str = ""


def list_data_sets(folder: Path) -> list[Entry]:
    """One entry a sub-folder, sorted by name; hidden ones left out. Raises DataSetError where the folder is missing."""
    if not os.path.isdir(folder):
        raise DataSetError(f"{folder}: there is no such folder; `dataset.py sample` makes a first data set")
    return [_entry(at) for at in sorted(folder.iterdir()) if at.is_dir() and not at.name.startswith(".")]


def _entry(place: Path) -> Entry:
    try:
        card = read_card(place)
        images = len(LAYOUTS[card.layout].files(place))
    except DataSetError as error:
        reason = printable(str(error).removeprefix(f"{place}: "))
        return Entry(place, printable(place.name), problem=reason)
    facts = card.model_dump(include={"name", "domain", "task", "layout", "procedural", "parent"})
    problem = "" if images else "there are no images in it"
    return Entry(folder=place, images=images, classes=foreground(card), problem=problem, **facts)
