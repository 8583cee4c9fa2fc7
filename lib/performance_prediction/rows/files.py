"""Rows, relatives and costs as they stand in files: which line is asked about, whom it is related to, what each column costs."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lib.errors import MatrixError
from lib.performance_prediction.table.score_table import Floats, ScoreTable
from lib.registry import unknown_name


def relatives_by_name(rows: Sequence[str]) -> list[str]:
    """The group of each row: its name up to the first '@', as in `cifar100@10shot` or `neu_cls@train10`."""
    return [row.split("@", 1)[0] for row in rows]


def position_of(kind: str, name: str, names: Sequence[str]) -> int:
    """Where `name` stands; raises MatrixError with the nearest names where it does not."""
    if name not in names:
        raise MatrixError(unknown_name(kind, name, list(names)))
    return list(names).index(name)


def without_row(table: ScoreTable, row: int) -> ScoreTable:
    """The table without one of its rows."""
    kept = np.delete(np.arange(len(table.rows)), row)
    features = table.row_features
    return ScoreTable(
        tuple(table.rows[i] for i in kept),
        table.columns,
        table.values[kept],
        None if features is None else features.iloc[kept],
        table.column_features,
    )


def read_costs(path: Path, columns: Sequence[str]) -> Floats:
    """Costs (n_columns,) from a CSV with a header, column names first, costs second.

    Raises MatrixError, naming file, line and column, when a column has no cost, an unknown name or a cost that is not positive.
    """
    lines = _cost_lines(path)
    costs = np.full(len(columns), np.nan)
    for number, name, text in lines:
        place = f"{path}, line {number}"
        if name not in columns:
            raise MatrixError(f"{place}: {unknown_name('column', name, list(columns))}")
        costs[list(columns).index(name)] = _cost(place, name, text)
    without = [name for name, cost in zip(columns, costs, strict=True) if np.isnan(cost)]
    if without:
        raise MatrixError(f"{path}: no cost for column '{without[0]}'; give every column of the matrix one")
    return costs


def _cost(place: str, name: str, text: str) -> float:
    try:
        cost = float(text)
    except ValueError:
        cost = float("nan")
    if not 0 < cost < float("inf"):
        raise MatrixError(
            f"{place}: column '{name}' costs '{text}'; expected a positive number, e.g. seconds"
        )
    return cost


def _cost_lines(path: Path) -> list[tuple[int, str, str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise MatrixError(f"cannot read {path}: {error}; pass a CSV file of UTF-8 text") from error
    lines = []
    reader = csv.reader(text.splitlines())
    for cells in reader:
        if reader.line_num == 1 or not any(cell.strip() for cell in cells):
            continue
        if len(cells) != 2:
            raise MatrixError(
                f"{path}, line {reader.line_num}: expected `column,cost`, found {len(cells)} cells"
            )
        lines.append((reader.line_num, cells[0], cells[1]))
    return lines
