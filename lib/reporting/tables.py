"""A table for the terminal out of its headings and rows, and how every table writes a number and its absence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text


def table_of(headings: Sequence[str], rows: Iterable[Sequence[str | Text]], **options: Any) -> Table:
    """Cells are shown as they are written, without markup. A heading that begins with > is one of numbers, to the right and
    never folded, with < one of text that is never folded; `options` are those of rich's Table."""
    table = Table(**options)
    for heading in headings:
        justify: Any = "right" if heading.startswith(">") else "left"
        table.add_column(heading.lstrip("<>"), justify=justify, no_wrap=heading.startswith((">", "<")))
    for row in rows:
        table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    return table


def shown(value: float | None, form: str = "{:.4f}") -> str:
    """The value in that form, a dash where there is none."""
    return "—" if value is None else form.format(value)


def with_error(quality: float, standard_error: float | None) -> str:
    """`0.8500 ± 0.0120`, how every table shows a quality with the standard error that comes from its images."""
    return f"{quality:.4f}" + ("" if standard_error is None else f" ± {standard_error:.4f}")


def readable_seconds(seconds: float) -> str:
    """`42 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
