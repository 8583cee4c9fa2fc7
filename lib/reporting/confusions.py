"""All confusion matrices of a comparison in one picture: a row a backbone, a column a head."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lib.files import save_picture
from lib.records.schema import CHANCE_HEAD
from lib.zoo.comparison import Answered, Comparison

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_WRITTEN = 12  # classes; of more, colour alone tells
PANEL_IN = 3.1
LONGEST_CLASS = 16


def draw_confusions(comparison: Comparison, file: Path) -> None:
    """Draws the picture into `file` (PNG); the chance line, which answers one class, is left out."""
    import matplotlib

    with matplotlib.rc_context({"text.parse_math": False}):
        save_picture(_drawn(comparison), file, dpi=110)


def _drawn(comparison: Comparison) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = [one for one in comparison.answered if one.head != CHANCE_HEAD]
    backbones = list(dict.fromkeys(one.backbone.name for one in shown))
    heads = list(dict.fromkeys(one.head for one in shown))
    panel = PANEL_IN + 0.12 * max(0, len(comparison.data_set.classes) - 5)
    figure = Figure(
        figsize=(panel * len(heads) + 1.2, panel * len(backbones) + 0.9), layout="constrained", dpi=110
    )
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(backbones), len(heads), squeeze=False)
    title = f"{comparison.data_set.name}: true classes down, answers across, % of the true class"
    figure.suptitle(title, fontsize=12, x=0.01, ha="left")
    for axes, (backbone, head) in zip(grid.flat, [(b, h) for b in backbones for h in heads], strict=True):
        one = comparison.of(backbone, head)
        if one is None:
            axes.set_axis_off()
            continue
        _draw_one(axes, comparison, one)
        if head != heads[0]:
            axes.set_yticklabels([])
        if backbone != backbones[-1]:
            axes.set_xticklabels([])
    return figure


def _draw_one(axes: Axes, comparison: Comparison, one: Answered) -> None:
    confusion, classes = comparison.confusion(one), comparison.data_set.classes
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
    accuracy = np.trace(confusion) / confusion.sum()
    axes.set_title(f"{one.backbone.name}\n{one.head}: {100 * accuracy:.1f} %", fontsize=9)
    names = [n if len(n) <= LONGEST_CLASS else f"{n[: LONGEST_CLASS - 1]}…" for n in classes]
    places = range(len(classes)) if len(classes) <= 2 * MOST_WRITTEN else []
    axes.set_xticks(
        places, names if places else [], rotation=60, ha="right", rotation_mode="anchor", fontsize=7
    )
    axes.set_yticks(places, names if places else [], fontsize=7)
    if len(classes) > MOST_WRITTEN:
        return
    for (row, column), share in np.ndenumerate(shares):
        if confusion[row, column]:
            colour = "white" if share > 0.55 else "#333333"
            axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=7, color=colour)
