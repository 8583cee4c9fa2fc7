"""dataset.yaml: read, completed from the folder where it is silent, written; every wrong field is named."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from lib.datasets.base import Card
from lib.datasets.layouts import LAYOUTS, recognise
from lib.errors import DataSetError
from lib.files import write_atomically
from lib.registry import unknown_name

CARD_FILE = "dataset.yaml"
BACKGROUND = "background"
_NAME = re.compile(r"[^/\\@\s.][^/\\@\n]*")


def read_card(root: Path) -> Card:
    """The card of a folder; what it leaves out (or all of it, without a dataset.yaml) is read off the folder.

    Raises DataSetError where the folder is missing, its layout cannot be recognised, or a field is wrong.
    """
    if not root.is_dir():
        raise DataSetError(f"{root}: there is no such folder")
    values = _read_yaml(root / CARD_FILE)
    layout = values.get("layout") or recognise(root)
    if layout not in LAYOUTS:
        raise DataSetError(f"{root / CARD_FILE}: {unknown_name('layout', str(layout), LAYOUTS.names())}")
    values |= {"layout": layout}
    values["name"] = str(values.get("name") or root.resolve().name.replace("@", "_"))
    values["task"] = values.get("task") or LAYOUTS[layout].task
    if not values.get("classes"):
        values["classes"] = LAYOUTS[layout].class_names(root)
    return _checked(values, root / CARD_FILE)


def write_card(root: Path, card: Card) -> Path:
    """Writes the card into `root`; empty fields are left out. Returns the file."""
    values = card.model_dump(mode="json", exclude_defaults=True)
    path = root / CARD_FILE
    write_atomically(path, yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=110))
    return path


def refuse_to_overwrite(folder: Path, is_ours: Callable[[Card], bool], ours: str) -> None:
    """Raises DataSetError where a folder holds anything but `ours`: a card that `is_ours` says so."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / CARD_FILE).is_file() or not is_ours(read_card(folder)):
        raise DataSetError(f"{folder}: holds something else than {ours}; name another folder with --to")


def foreground(card: Card) -> tuple[str, ...]:
    """The mask classes without the background, which a card of masks may list first."""
    has_background = card.task == "segmentation" and card.classes[:1] == (BACKGROUND,)
    return card.classes[1:] if has_background else card.classes


def _read_yaml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise DataSetError(f"{path}: cannot be read as UTF-8 text: {error}") from error
    except yaml.YAMLError as error:
        raise DataSetError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values or {}, dict):
        raise DataSetError(f"{path}: expected `field: value` lines, found {type(values).__name__}")
    return dict(values or {})


def _checked(values: dict[str, Any], path: Path) -> Card:
    if isinstance(values["classes"], list | tuple):
        values["classes"] = [str(name) for name in values["classes"]]
    for field in ("description", "licence", "source", "domain"):
        default = Card.model_fields[field].default
        values[field] = default if values.get(field) is None else str(values[field])
    try:
        card = Card.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg'].lower()}" for e in error.errors())
        raise DataSetError(f"{path}: {problems}") from error
    _refuse_contradictions(card, path)
    return card


def _refuse_contradictions(card: Card, path: Path) -> None:
    if not _NAME.fullmatch(card.name):
        raise DataSetError(f"{path}: name {card.name!r} must not hold / \\ @ or start with a dot or a space")
    if len(set(card.classes)) < len(card.classes):
        raise DataSetError(f"{path}: classes holds a name twice")
    if not foreground(card):
        raise DataSetError(f"{path}: classes names no class but the background")
    if card.task != (task := LAYOUTS[card.layout].task):
        raise DataSetError(
            f"{path}: layout {card.layout} holds {task}, not {card.task}; set `task: {task}`"
            + " and read the set as classification with PATH@defect or PATH@dominant"
            * (task == "segmentation")
        )
    try:
        re.compile(card.group or "")
    except re.error as error:
        raise DataSetError(f"{path}: group {card.group!r} is not a regular expression: {error}") from error
