"""Curves and tables of classes as columns: one list a metric, a third of the size of one dict an epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lib.records.schema import EpochEntry

EPOCH_PARTS = ("validation", "test")


def columns_of_epochs(epochs: Sequence[EpochEntry]) -> dict[str, Any]:
    """Epochs as one list a metric, None where an epoch lacks it, one number where all epochs agree.

    On disk this is a third of the size of one dict an epoch.
    """
    scalars = {name: [getattr(entry, name) for entry in epochs] for name in ("train_loss", "learning_rate")}
    columns: dict[str, Any] = {"epoch": [entry.epoch for entry in epochs]}
    columns |= {
        name: column for name, column in scalars.items() if any(value is not None for value in column)
    }
    for part in EPOCH_PARTS:
        metrics = dict.fromkeys(metric for entry in epochs for metric in getattr(entry, part))
        columns[part] = {
            metric: _collapsed([getattr(entry, part).get(metric) for entry in epochs]) for metric in metrics
        }
    return columns


def _collapsed(column: list[float | None]) -> list[float | None] | float | None:
    return column[0] if len(set(column)) == 1 else column


def epochs_of_columns(columns: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The inverse of `columns_of_epochs`, as plain values for validation; raises ValueError for columns that do not fit."""
    epochs = columns.get("epoch", [])
    parts = {
        part: {m: _expanded(c, len(epochs)) for m, c in columns.get(part, {}).items()} for part in EPOCH_PARTS
    }
    scalars = {
        name: _expanded(column, len(epochs)) for name, column in columns.items() if name not in EPOCH_PARTS
    }
    lengths = {
        len(column) for column in [*scalars.values(), *(c for part in parts.values() for c in part.values())]
    }
    if len(lengths) > 1:
        raise ValueError(f"the columns of the epochs have different lengths: {sorted(lengths)}")
    return [
        {name: column[index] for name, column in scalars.items()}
        | {
            part: {metric: column[index] for metric, column in metrics.items() if column[index] is not None}
            for part, metrics in parts.items()
        }
        for index in range(len(epochs))
    ]


def _expanded(column: Any, length: int) -> list[Any]:
    return column if isinstance(column, list) else [column] * length


CLASS_COLUMN = "class"


def columns_of_classes(per_class: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Metrics a class as one list a metric, beside the list of classes; None where a class lacks the metric."""
    metrics = dict.fromkeys(metric for values in per_class.values() for metric in values)
    columns: dict[str, Any] = {CLASS_COLUMN: list(per_class)}
    return columns | {metric: [values.get(metric) for values in per_class.values()] for metric in metrics}


def classes_of_columns(columns: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """The inverse of `columns_of_classes`; raises ValueError for columns that do not fit."""
    names = columns[CLASS_COLUMN]
    metrics = {metric: column for metric, column in columns.items() if metric != CLASS_COLUMN}
    if any(len(column) != len(names) for column in metrics.values()):
        raise ValueError("the columns of the classes have different lengths")
    return {
        name: {metric: column[index] for metric, column in metrics.items() if column[index] is not None}
        for index, name in enumerate(names)
    }
