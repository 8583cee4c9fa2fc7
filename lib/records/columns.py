"""Curves and tables of classes as columns: one list a metric, a third of the size of one dict an epoch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lib.records.schema import EpochEntry

EPOCH_PARTS = ("validation", "test")
CLASS_COLUMN = "class"


def columns_of_epochs(epochs: Sequence[EpochEntry]) -> dict[str, Any]:
    """Epochs as one list a metric, None where an epoch lacks it, one number where all epochs agree."""
    scalars = (
        {name: value for name, value in vars(entry).items() if name not in EPOCH_PARTS and value is not None}
        for entry in epochs
    )
    parts = {part: _columns(getattr(entry, part) for entry in epochs) for part in EPOCH_PARTS}
    return (
        {"epoch": []}
        | _columns(scalars)
        | {
            part: {name: column[0] if len(set(column)) == 1 else column for name, column in columns.items()}
            for part, columns in parts.items()
        }
    )


def epochs_of_columns(columns: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The inverse of `columns_of_epochs`, as plain values for validation; raises ValueError for columns that do not fit."""
    length = len(columns.get("epoch", []))
    parts = {part: _rows(columns.get(part, {}), length) for part in EPOCH_PARTS}
    scalars = _rows({name: column for name, column in columns.items() if name not in EPOCH_PARTS}, length)
    return [row | {part: rows[i] for part, rows in parts.items()} for i, row in enumerate(scalars)]


def columns_of_classes(per_class: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Metrics a class as one list a metric, beside the list of classes; None where a class lacks the metric."""
    return {CLASS_COLUMN: list(per_class)} | _columns(per_class.values())


def classes_of_columns(columns: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """The inverse of `columns_of_classes`; raises ValueError for columns that do not fit."""
    names = columns[CLASS_COLUMN]
    metrics = {name: column for name, column in columns.items() if name != CLASS_COLUMN}
    return dict(zip(names, _rows(metrics, len(names)), strict=True))


def _columns(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    rows = list(rows)
    return {name: [row.get(name) for row in rows] for name in dict.fromkeys(n for row in rows for n in row)}


def _rows(columns: Mapping[str, Any], length: int) -> list[dict[str, Any]]:
    lists = {name: one if isinstance(one, list) else [one] * length for name, one in columns.items()}
    if lengths := {len(one) for one in lists.values()} - {length}:
        raise ValueError(f"columns of one table have different lengths: {sorted({length, *lengths})}")
    return [{name: one[i] for name, one in lists.items() if one[i] is not None} for i in range(length)]
