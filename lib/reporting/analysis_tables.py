"""The analysis of a data set in the terminal: light, sizes of defects, classes that meet, clashing labels, augmentation."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from lib.features.analysis import Analysis
from lib.features.fact_sheet import FactSheet
from lib.reporting.tables import table_of

MOST_CLASSES = 10
CONFLICTS_SHOWN = 5


def analysis_tables(sheet: FactSheet) -> Iterator[RenderableType]:
    """What applies of it, each a table."""
    analysis = sheet.analysis
    if analysis.light:
        yield _light_table(analysis, sheet.looked_at)
    if analysis.sizes:
        yield _size_table(analysis)
    if 1 < len(analysis.together) <= MOST_CLASSES:
        yield _together_table(analysis, [one.name for one in sheet.classes])
    if analysis.conflicts:
        yield _conflict_table(analysis)
    if analysis.augmentations:
        yield _augmentation_table(analysis)


def conclusions(sheet: FactSheet) -> Iterator[RenderableType]:
    """One sentence a line."""
    if sheet.analysis.conclusions:
        yield Text("\nConclusions", style="bold")
        yield from map(Text, sheet.analysis.conclusions)


def _light_table(analysis: Analysis, looked_at: int) -> Table:
    ratio = "" if analysis.light_ratio is None else f", η² {analysis.light_ratio:.2f}"
    rows = [(one.name, str(one.images), f"{one.mean:.3f} ± {one.spread:.3f}") for one in analysis.light]
    title = f"Brightness a class ({looked_at} images looked at{ratio})"
    return table_of(("class", ">images", ">mean grey ± spread"), rows, title=title)


def _size_table(analysis: Analysis) -> Table:
    rows = [
        (one.name, str(one.defects), *(f"{100 * share:.3g}" for share in (one.small, one.median, one.large)))
        for one in analysis.sizes
    ]
    title = f"Connected defects, % of the image ({analysis.masks_looked_at} images with a defect looked at)"
    return table_of(("class", ">defects", ">10 % are below", ">median", ">10 % are above"), rows, title=title)


def _together_table(analysis: Analysis, names: list[str]) -> Table:
    rows = [(name, *map(str, row)) for name, row in zip(names, analysis.together, strict=True)]
    headings = ("class", *(f">{escape(name)}" for name in names))
    return table_of(headings, rows, title="Images that hold both classes")


def _conflict_table(analysis: Analysis) -> Table:
    found = analysis.conflicts
    rows = [
        ("\n".join(one.files[:4]), "\n".join(one.classes[:4]) + "\n…" * (len(one.files) > 4))
        for one in found[:CONFLICTS_SHOWN]
    ]
    title = f"Alike, labelled differently: {len(found)} groups" + ", the first of them" * (
        len(found) > len(rows)
    )
    return table_of(("files", "classes"), rows, title=title, show_lines=True)


def _augmentation_table(analysis: Analysis) -> Table:
    rows = [
        (
            one.name,
            f"{100 * one.without:.1f}",
            f"{100 * one.with_copies:.1f}",
            f"[{100 * one.low:+.1f}, {100 * one.high:+.1f}]",
            one.verdict,
        )
        for one in analysis.augmentations
    ]
    headings = (
        "change",
        ">accuracy % without",
        ">with changed copies",
        ">95 % of the difference",
        "<verdict",
    )
    return table_of(headings, rows, title="Augmentation tried on a quick classifier")
