"""What data sets lie in a folder, from their cards and file names alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lib.datasets.cards import foreground, read_card
from lib.datasets.layouts import LAYOUTS
from lib.errors import DataSetError


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
    if not folder.is_dir():
        raise DataSetError(f"{folder}: there is no such folder; `dataset.py sample` makes a first data set")
    places = [
        place for place in sorted(folder.iterdir()) if place.is_dir() and not place.name.startswith(".")
    ]
    return [_entry(place) for place in places]


def _entry(place: Path) -> Entry:
    try:
        card = read_card(place)
        images = len(LAYOUTS[card.layout].files(place))
    except DataSetError as error:
        return Entry(place, place.name, problem=str(error).removeprefix(f"{place}: "))
    return Entry(
        folder=place,
        name=card.name,
        domain=card.domain,
        task=card.task,
        layout=card.layout,
        images=images,
        classes=foreground(card),
        procedural=card.procedural,
        parent=card.parent,
        problem="" if images else "there are no images in it",
    )
