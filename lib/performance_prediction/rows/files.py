"""`als.py suggest` on files: which line is asked about, whom it is related to, what each column costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lib.errors import MatrixError
from lib.files import read_csv
from lib.performance_prediction.rows.model import NewRowModel
from lib.performance_prediction.rows.suggest import SuggestedColumns, best_portfolio_steps, suggest
from lib.performance_prediction.table.score_csv import read_score_table
from lib.performance_prediction.table.score_table import Floats
from lib.registry import unknown_name


@dataclass(frozen=True)
class RowSuggestions:
    """What to evaluate next on the row called `row`; `measured`, `unmeasured`: how many columns are."""

    row: str
    measured: int
    unmeasured: int
    found: SuggestedColumns
    warnings: tuple[str, ...]


def suggest_from_file(
    matrix: Path, row: str, features: Path | None, costs: Path | None, count: int, seed: int
) -> RowSuggestions:
    """Learns from all other rows of the file what to evaluate next on `row`; raises what reading raises, with the place."""
    read = read_score_table(matrix, features)
    table = read.table
    if row not in table.rows:
        raise MatrixError(unknown_name("row", row, list(table.rows)))
    place = table.rows.index(row)
    spent = None if costs is None else read_costs(costs, table.columns)
    others = table.of_rows(np.delete(np.arange(len(table.rows)), place))
    model = NewRowModel.fit(others, relatives_by_name(others.rows), seed)
    line = table.of_rows([place])
    steps = best_portfolio_steps(model, seed)
    found = suggest(model, line.values[0], spent, count, line.row_features, portfolio_steps=steps)
    measured = int(line.observed.sum())
    return RowSuggestions(row, measured, len(table.columns) - measured, found, read.warnings)


def relatives_by_name(rows: Sequence[str]) -> list[str]:
    """The group of each row: its name up to the first '@', as in `cifar100@10shot` or `neu_cls@train10`."""
    return [row.split("@", 1)[0] for row in rows]


def read_costs(path: Path, columns: Sequence[str]) -> Floats:
    """Costs (n_columns,) from a CSV with a header, column names first, costs second.

    Raises MatrixError, naming file, line and column, when a column has no cost, an unknown name or a cost that is not positive.
    """
    file = read_csv(path, MatrixError)
    if len(file.header) != 2:
        raise MatrixError(f"{path}: expected `column,cost`, found {len(file.header)} columns")
    costs = np.full(len(columns), np.nan)
    for line in file.lines:
        place, (name, text) = f"{path}, line {line.number}", line.cells
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
        cost = np.nan
    if not 0 < cost < np.inf:
        raise MatrixError(
            f"{place}: column '{name}' costs '{text}'; expected a positive number, e.g. seconds"
        )
    return cost
