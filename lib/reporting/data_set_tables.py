"""Data sets in the terminal: the list of what is there, a fact sheet, a check, the counts of freshly cut patches."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from lib.datasets.checking import CheckReport
from lib.datasets.inventory import Entry
from lib.features.fact_sheet import FactSheet

PROCEDURAL = "procedural"
_PARTS = ("train", "validation", "test")


def list_table(entries: Sequence[Entry]) -> RenderableType:
    """One line a data set, procedural ones say so; below it, what cannot be read and why."""
    table = Table(title="Data sets")
    table.add_column("data set", overflow="fold", min_width=18)
    for name in ("domain", "task"):
        table.add_column(name, no_wrap=True)
    for name in ("images", "classes"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("note", overflow="fold")
    readable = [entry for entry in entries if not entry.problem]
    for entry in readable:
        notes = [PROCEDURAL] * entry.procedural + [f"from {entry.parent}"] * bool(entry.parent)
        counts = (str(entry.images), str(len(entry.classes)))
        table.add_row(Text(entry.name), Text(entry.domain), entry.task, *counts, Text(", ".join(notes)))
    if not entries:
        return Text("no data sets here yet; `dataset.py sample` makes a first one")
    problems = [Text(f"{entry.name}: {entry.problem}") for entry in entries if entry.problem]
    return Group(*([table] if readable else []), *problems)


def fact_sheet_text(sheet: FactSheet) -> RenderableType:
    """The fact sheet as tables: parts and sizes, classes, meta-features."""
    return Group(_head(sheet), _class_table(sheet), _feature_table(sheet))


def parts_line(sheet: FactSheet) -> str:
    """Images of each part of the own split."""
    return f"{sheet.train} train, {sheet.validation} validation, {sheet.test} test"


def folds_line(sheet: FactSheet) -> str:
    """How many folds, and the images of each."""
    fewest, most = min(sheet.tested), max(sheet.tested)
    tested = f"{most}" if fewest == most else f"{fewest} to {most}"
    return f"{len(sheet.tested)}, each: {sheet.fold_train} train, {sheet.fold_validation} validation, {tested} test"


def check_text(report: CheckReport) -> Text:
    """All problems, numbered, or that there are none."""
    if not report.problems:
        return Text(f"{report.name}: {report.n_images} images, no problem found")
    lines = [f"{report.name}: {report.n_images} images, {len(report.problems)} problem(s)"]
    return Text("\n".join(lines + [f"{i:4d}. {problem}" for i, problem in enumerate(report.problems, 1)]))


def count_table(counts: dict[str, dict[str, int]], title: str) -> Table:
    """Images a class (rows) and part (columns)."""
    table = _numbers("class", _PARTS, escape(title))
    for name, by_part in counts.items():
        table.add_row(Text(name), *(str(by_part[part]) for part in _PARTS))
    return table


def _numbers(rows: str, columns: Sequence[str], title: str) -> Table:
    """An empty table of numbers below `columns`, its lines named in the first column."""
    table = Table(rows, title=title)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _head(sheet: FactSheet) -> Table:
    facts = sheet.facts
    table = Table.grid(padding=(0, 2))
    title = facts.name + (f" ({PROCEDURAL})" if facts.procedural else "")
    table.add_row(Text("data set", style="dim"), Text(title, style="bold"))
    rows = {
        "folder": sheet.folder,
        "description": facts.description,
        "domain, task": f"{facts.domain}, {facts.task}",
        "derived": f"from {facts.parent}: {facts.derivation}" if facts.parent else "",
        "images": str(sheet.images),
        "own split": f"{parts_line(sheet)} (split {sheet.split_hash})",
        "folds": f"{folds_line(sheet)} (split {facts.split_hash})" if sheet.tested else "",
        "trust": f"{facts.trusted_metric}: {facts.trusted_because}" if facts.trusted_metric else "",
        "height×width": ", ".join(f"{size} ({n})" for size, n in sheet.sizes[:5])
        + (f" and {len(sheet.sizes) - 5} other sizes" if len(sheet.sizes) > 5 else ""),
        "near-duplicates": f"{sheet.near_duplicate_images} images in {sheet.near_duplicate_groups} groups",
        "licence": facts.licence,
    }
    if sheet.images_without_defect is not None:
        rows["without defect"] = f"{sheet.images_without_defect} images"
    for name, value in rows.items():
        if value:
            table.add_row(Text(name, style="dim"), Text(value))
    return table


def _class_table(sheet: FactSheet) -> Table:
    with_areas = any(entry.area_share_mean is not None for entry in sheet.classes)
    headings = ("images", *_PARTS, *("mean area %", "largest %")[: 2 * with_areas])
    table = _numbers("class", headings, "Classes (parts of the own split)")
    for entry in sheet.classes:
        areas = [entry.area_share_mean, entry.area_share_max] if with_areas else []
        table.add_row(
            Text(entry.name),
            *(str(n) for n in (entry.images, entry.train, entry.validation, entry.test)),
            *("" if share is None else f"{100 * share:.2f}" for share in areas),
        )
    return table


def _feature_table(sheet: FactSheet) -> Table:
    """Meta-features in two columns; a mean and its spread between images share a cell."""
    values = sheet.facts.meta_features
    cells = []
    for name, value in values.items():
        stem = name.removesuffix("_mean")
        spread = values.get(f"{stem}_spread") if name.endswith("_mean") else None
        if not (name.endswith("_spread") and f"{name.removesuffix('_spread')}_mean" in values):
            both = spread is not None
            cells.append((stem if both else name, f"{value:.3g} ± {spread:.2g}" if both else f"{value:.4g}"))
    half = -(-len(cells) // 2)
    table = Table.grid(padding=(0, 3))
    table.title = f"Meta-features, mean ± spread between images ({sheet.looked_at} images looked at)"
    for first, second in zip_longest(cells[:half], cells[half:], fillvalue=("", "")):
        table.add_row(*first, *second)
    return table
