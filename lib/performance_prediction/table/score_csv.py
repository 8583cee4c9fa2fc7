"""Tables of scores and of features as CSV files: read with every fault named by its place, completed ones written as long CSV."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lib.errors import MatrixError
from lib.files import CsvLine, csv_text, read_csv, write_atomically, writing
from lib.performance_prediction.table.score_table import Floats, ScoreTable

MISSING = {"", "na", "nan", "n/a", "null", "none", "-", "?"}
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?|[+-]?inf(inity)?", re.ASCII | re.IGNORECASE)
LISTED = 3  # names spelled out in a message before "and n more"


@dataclass(frozen=True)
class ReadScores:
    """A table as read, and sentences about what was odd but could be lived with."""

    table: ScoreTable
    warnings: tuple[str, ...]


def read_score_table(
    path: Path, row_features: Path | None = None, column_features: Path | None = None
) -> ReadScores:
    """Reads a matrix CSV (first column row names, header column names, empty = missing) and its features tables.

    Raises MatrixError, naming file, line and column, when the file is not such a table, a name appears twice, a cell is no
    number or lies outside [0, 1], or no cell is measured.
    """
    file = read_csv(path, MatrixError)
    if len(file.header) < 2:
        raise MatrixError(f"{path}, line 1: expected a column of row names and at least one column of scores")
    if not file.lines:
        raise MatrixError(f"{path} has a header but no rows; add one line a row")
    columns, rows = file.header[1:], tuple(line.cells[0] for line in file.lines)
    _refuse_repeats(path, "row", rows)
    _refuse_repeats(path, "column", columns)
    cells = [zip(columns, line.cells[1:], strict=True) for line in file.lines]
    values = np.array(
        [[_score(path, line, *cell) for cell in row] for line, row in zip(file.lines, cells, strict=True)]
    )
    if not np.isfinite(values).any():
        raise MatrixError(f"{path}: no cell is measured; fill in at least one score between 0 and 1")
    of_rows, row_warnings = _features(row_features, rows, "row")
    of_columns, column_warnings = _features(column_features, columns, "column")
    table = ScoreTable(rows, columns, values, of_rows, of_columns)
    return ReadScores(table, tuple([*row_warnings, *column_warnings]))


def write_completed(path: Path, table: ScoreTable, mean: Floats, low: Floats, high: Floats) -> None:
    """Writes one line a cell: `row,column,status,value,low,high`, row by row.

    Measured cells keep their value to the last digit, with low = high = value. The file appears whole or not at all.
    """
    lines: list[Sequence[str]] = [("row", "column", "status", "value", "low", "high")]
    for (i, j), value in np.ndenumerate(table.values):
        if np.isfinite(value):
            told = ["measured", *[repr(float(value))] * 3]
        else:
            told = ["completed", *(f"{number[i, j]:.6f}" for number in (mean, low, high))]
        lines.append((table.rows[i], table.columns[j], *told))
    writing(path, lambda: write_atomically(path, csv_text(lines)))


def _refuse_repeats(path: Path, kind: str, names: Sequence[str]) -> None:
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise MatrixError(
            f"{path}: {kind} {_listed(repeated)} appears more than once; give every {kind} a name of its own"
        )
    if not all(name.strip() for name in names):
        place = next(i for i, name in enumerate(names, start=1) if not name.strip())
        raise MatrixError(f"{path}: {kind} {place} has no name; give every {kind} a name")


def _score(path: Path, line: CsvLine, column: str, text: str) -> float:
    if _is_missing(text):
        return float("nan")
    place = f"{path}, line {line.number}: row '{line.cells[0]}', column '{column}' holds"
    if not NUMBER.fullmatch(text.strip()):
        raise MatrixError(
            f"{place} '{text}', which is no number; write a score between 0 and 1, or leave the cell empty"
        )
    value = float(text)
    if not 0.0 <= value <= 1.0:
        raise MatrixError(
            f"{place} {text}, outside [0, 1]; scale the scores (percent: divide by 100) or empty the cell"
        )
    return value


def _features(path: Path | None, names: Sequence[str], kind: str) -> tuple[pd.DataFrame | None, list[str]]:
    """Features in the order of `names`; names unknown on either side become warnings."""
    if path is None:
        return None, []
    file = read_csv(path, MatrixError)
    told = [line.cells[0] for line in file.lines]
    _refuse_repeats(path, kind, told)
    cells = [[None if _is_missing(text) else text for text in line.cells[1:]] for line in file.lines]
    frame = pd.DataFrame(cells, told, _distinct(file.header[1:]), dtype=object).reindex(list(names))
    absent = [name for name in names if name not in set(told)]
    if len(absent) == len(names):
        raise MatrixError(
            f"{path}: no {kind} of the matrix is described there; its first column must hold names such as '{names[0]}'"
        )
    warnings = []
    if absent:
        warnings.append(f"{path}: nothing about {kind} {_listed(absent)}; completed without features")
    strangers = [name for name in told if name not in set(names)]
    if strangers:
        warnings.append(f"{path}: {kind} {_listed(strangers)} not in the matrix; left out")
    return frame.apply(_typed), warnings


def _distinct(header: Sequence[str]) -> list[str]:
    seen: Counter[str] = Counter()
    names = []
    for name in header:
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return names


def _typed(column: pd.Series) -> pd.Series:
    """A column of numbers as floats, another as it is with None for gaps."""
    texts = column.astype(object).where(column.notna(), None)
    numbers = pd.to_numeric(texts, errors="coerce")
    all_numbers = texts.notna().any() and bool((numbers.notna() == texts.notna()).all())
    return numbers.astype(float) if all_numbers else texts


def _is_missing(text: str) -> bool:
    return text.strip().lower() in MISSING


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:LISTED])
    return shown if len(names) <= LISTED else f"{shown} and {len(names) - LISTED} more"


def features_beside(matrix: Path) -> tuple[Path | None, Path | None]:
    """`NAME.features.csv`, and `NAME.column_features.csv` or `NAME.model_features.csv`, beside NAME.csv where they exist."""
    rows = matrix.with_suffix(".features.csv")
    columns = [matrix.with_suffix(f".{kind}_features.csv") for kind in ("column", "model")]
    found = [path for path in columns if path.is_file()]
    return rows if rows.is_file() else None, found[0] if found else None
