"""dataset.yaml: read, completed from the folder where it is silent, written; every wrong field is named."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from lib.datasets.base import Card
from lib.datasets.groups import named_groups
from lib.datasets.layouts import LAYOUTS, MOST_MASK_CLASSES, recognise
from lib.errors import DataSetError, printable
from lib.files import write_atomically
from lib.registry import unknown_name
from lib.yaml_files import read_yaml

CARD_FILE = "dataset.yaml"
BACKGROUND = "background"
_LONGEST_NAME_BYTES = 200
_NAME = re.compile(r"[^/\\@\s.][^/\\@\n]*")


def read_card(root: Path) -> Card:
    """The card of a folder; what it leaves out (or all of it, without a dataset.yaml) is read off the folder. Raises
    DataSetError where the folder is missing, its layout cannot be recognised, or a field is wrong."""
    if not os.path.isdir(root):
        raise DataSetError(f"{root}: there is no such folder")
    path = root / CARD_FILE
    values = read_yaml(path, DataSetError) if os.path.lexists(path) else {}
    layout = values.get("layout") or recognise(root)
    if not isinstance(layout, str) or layout not in LAYOUTS:
        raise DataSetError(f"{path}: {unknown_name('layout', str(layout), LAYOUTS.names())}")
    values |= {"layout": layout}
    if values.get("name") is None:
        values["name"] = root.resolve().name.replace("@", "_")
    values["task"] = values.get("task") or LAYOUTS[layout].task
    if not values.get("classes"):
        values["classes"] = LAYOUTS[layout].class_names(root)
    return _checked(values, path)


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


def _checked(values: dict[str, Any], path: Path) -> Card:
    for field in values.keys() - Card.model_fields.keys():
        raise DataSetError(f"{path}: {unknown_name('field', field, list(Card.model_fields))}")
    if isinstance(values["classes"], list | tuple):
        values["classes"] = [_text("classes", name, path) for name in values["classes"]]
    for field in ("name", "domain", "description", "licence", "source"):
        if values.get(field) is None:
            values[field] = Card.model_fields[field].default
        elif field in ("name", "domain"):
            values[field] = _text(field, values[field], path)
        else:
            values[field] = printable(str(values[field]))
    try:
        card = Card.model_validate(values)
        named_groups((), card.group or "")
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg'].lower()}" for e in error.errors())
        raise DataSetError(f"{path}: {problems}") from error
    except DataSetError as error:
        raise DataSetError(f"{path}: {error}") from error
    if problem := _contradiction(card):
        raise DataSetError(f"{path}: {problem}")
    return card


def _text(field: str, value: object, path: Path) -> str:
    """A name as it was written: YAML reads 1.10, yes, null and 2020-01-01 as something else."""
    if isinstance(value, str | int) and not isinstance(value, bool):
        return str(value)
    raise DataSetError(f"{path}: {field}: YAML reads a name as {value!r}; write it in quotes")


def _contradiction(card: Card) -> str:
    if not f"{card.parent}{card.derivation}".isprintable():
        return "parent or derivation holds characters that cannot be printed; write them otherwise"
    for name in (card.name, card.domain, *card.classes):
        if not name.isprintable():
            return f"{name[:60]!r} holds characters that cannot be printed; name it otherwise"
        if not name.strip() or len(name.encode()) > _LONGEST_NAME_BYTES:
            return f"{name[:60]!r} is no name: expected 1 to {_LONGEST_NAME_BYTES} bytes"
    for field in ("name", "domain"):
        if not _NAME.fullmatch(name := getattr(card, field)):
            return f"{field} {name!r} must not hold / \\ @ or start with a dot or a space"
    if len(set(card.classes)) < len(card.classes):
        return "classes holds a name twice"
    if card.task == "segmentation" and len(foreground(card)) > MOST_MASK_CLASSES:
        return f"names {len(card.classes)} classes; masks hold {MOST_MASK_CLASSES} at most"
    if not foreground(card):
        return "classes names no class but the background"
    if card.task != (task := LAYOUTS[card.layout].task):
        views = " and read the set as classification with PATH@defect or PATH@dominant"
        wrong = f"layout {card.layout} holds {task}, not {card.task}; set `task: {task}`"
        return wrong + views * (task == "segmentation")
    return ""
