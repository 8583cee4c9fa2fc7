"""Small CSV files as people write them: with a byte-order mark, semicolons or tabs, spaces around the names."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lib.errors import DataSetError

csv.field_size_limit(2**27)


@dataclass(frozen=True)
class Row:
    """One line of a table; `line` counts from 1 with the header as line 1, `values` by lower-case column name."""

    line: int
    values: dict[str, str]


def read_rows(path: Path, required: Sequence[str]) -> list[Row]:
    """The rows of a CSV file; column names in lower case, cells stripped, empty lines left out.

    Raises DataSetError naming the file and the missing column, or the line whose cells do not fit the header.
    """
    text = _text(path)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text.partition("\n")[0]))
    try:
        lines = [(reader.line_num, cells) for cells in reader]
    except csv.Error as error:
        raise DataSetError(f"{path}, line {reader.line_num}: not a CSV line: {error}") from error
    header = [name.strip().lower() for name in (lines[0][1] if lines else [])]
    missing = [name for name in required if name.lower() not in header]
    if missing:
        raise DataSetError(
            f"{path}: the column {' and '.join(missing)} is missing; "
            f"expected {','.join(required)} in the first line, found {','.join(header) or 'an empty file'}"
        )
    rows = []
    for line, cells in lines[1:]:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) > len(header) and any(cell.strip() for cell in cells[len(header) :]):
            raise DataSetError(
                f"{path}, line {line}: {len(cells)} cells under {len(header)} columns; "
                "quote a cell that holds the separator"
            )
        padded = [*cells, *[""] * (len(header) - len(cells))]
        rows.append(Row(line, {n: c.strip() for n, c in zip(header, padded, strict=False)}))
    return rows


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataSetError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    except OSError as error:
        raise DataSetError(f"{path}: cannot be read: {error.strerror}") from error


def _delimiter(header: str) -> str:
    return max(",;\t", key=header.count)
