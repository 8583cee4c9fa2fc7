"""Data sets in the terminal: the list of what is there, a fact sheet, a check, the counts of freshly cut patches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from lib.datasets.base import PARTS
from lib.datasets.checking import CheckReport
from lib.datasets.inventory import Entry
from lib.features.fact_sheet import FactSheet
from lib.reporting.analysis_tables import analysis_tables, conclusions
from lib.reporting.tables import table_of

PROCEDURAL = "procedural"


def list_table(entries: Sequence[Entry]) -> RenderableType:
    """One line a data set, procedural ones say so; below it, what cannot be read and why."""
    if not entries:
        return Text("no data sets here yet; `dataset.py sample` makes a first one")
    readable = [entry for entry in entries if not entry.problem]
    table = Table(title="Data sets")
    table.add_column("data set", overflow="fold", min_width=18)
    for name, justify in (("domain", "left"), ("task", "left"), ("images", "right"), ("classes", "right")):
        table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    table.add_column("note", overflow="fold")
    for entry in readable:
        notes = [PROCEDURAL] * entry.procedural + [f"from {entry.parent}"] * bool(entry.parent)
        counts = (str(entry.images), str(len(entry.classes)))
        table.add_row(*map(Text, (entry.name, entry.domain, entry.task, *counts, ", ".join(notes))))
    problems = [Text(f"{entry.name}: {entry.problem}") for entry in entries if entry.problem]
    return Group(*([table] if readable else []), *problems)


def fact_sheet_text(sheet: FactSheet) -> RenderableType:
    """The fact sheet as tables: parts and sizes, classes, meta-features."""
    return Group(
        _head(sheet),
        _class_table(sheet),
        *analysis_tables(sheet),
        _feature_table(sheet),
        *conclusions(sheet.analysis),
    )


def parts_line(sheet: FactSheet) -> str:
    """Images of each part of the own split."""
    return f"{sheet.train} train, {sheet.validation} validation, {sheet.test} test"


def folds_line(sheet: FactSheet) -> str:
    """How many folds, and the images of each."""
    fewest, most = min(sheet.tested), max(sheet.tested)
    tested = f"{most}" if fewest == most else f"{fewest} to {most}"
    return f"{len(sheet.tested)}, each: {sheet.fold_train} train, {sheet.fold_validation} validation, {tested} test"


def check_text(report: CheckReport) -> str:
    """All problems, numbered, or that there are none."""
    found = f"{len(report.problems)} problem(s)" if report.problems else "no problem found"
    numbered = (f"{i:4d}. {problem}" for i, problem in enumerate(report.problems, 1))
    return "\n".join([f"{report.name}: {report.n_images} images, {found}", *numbered])


def count_table(counts: dict[str, dict[str, int]], title: str) -> Table:
    """Images a class (rows) and part (columns)."""
    headings = ("class", *(f">{part}" for part in PARTS))
    rows = [(name, *(str(by_part[part]) for part in PARTS)) for name, by_part in counts.items()]
    return table_of(headings, rows, title=escape(title))


def sheet_rows(sheet: FactSheet) -> dict[str, str]:
    """What the head of a fact sheet says, by name; what does not apply is left out."""
    facts = sheet.facts
    without_defect = sheet.images_without_defect
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
        "without defect": "" if without_defect is None else f"{without_defect} images",
    }
    return {name: value for name, value in rows.items() if value}


def _head(sheet: FactSheet) -> Table:
    table = Table.grid(padding=(0, 2))
    title = sheet.facts.name + f" ({PROCEDURAL})" * sheet.facts.procedural
    table.add_row(Text("data set", style="dim"), Text(title, style="bold"))
    for name, value in sheet_rows(sheet).items():
        table.add_row(Text(name, style="dim"), Text(value))
    return table


def _class_table(sheet: FactSheet) -> Table:
    with_areas = any(entry.area_share_mean is not None for entry in sheet.classes)
    areas = (("mean area %", "area_share_mean"), ("largest %", "area_share_max")) if with_areas else ()
    headings = ("class", *(f">{name}" for name in ("images", *PARTS, *(title for title, _ in areas))))
    rows = [
        (
            entry.name,
            *(str(getattr(entry, part)) for part in ("images", *PARTS)),
            *("" if (share := getattr(entry, name)) is None else f"{100 * share:.2f}" for _, name in areas),
        )
        for entry in sheet.classes
    ]
    return table_of(headings, rows, title="Classes (parts of the own split)")


def feature_cells(values: Mapping[str, float]) -> list[tuple[str, str]]:
    """Meta-features, name and value; a mean and its spread between images share a cell."""
    cells = []
    for name, value in values.items():
        stem, _, kind = name.rpartition("_")
        if kind == "mean" and f"{stem}_spread" in values:
            cells.append((stem, f"{value:.3g} ± {values[f'{stem}_spread']:.2g}"))
        elif kind != "spread" or f"{stem}_mean" not in values:
            cells.append((name, f"{value:.4g}"))
    return cells


def _feature_table(sheet: FactSheet) -> Table:
    """Meta-features in two columns."""
    cells = feature_cells(sheet.facts.meta_features)
    half = -(-len(cells) // 2)
    table = Table.grid(padding=(0, 3))
    table.title = f"Meta-features, mean ± spread between images ({sheet.looked_at} images looked at)"
    for first, second in zip_longest(cells[:half], cells[half:], fillvalue=("", "")):
        table.add_row(*first, *second)
    return table
