"""The analysis of a data set as panels: light a class, sizes and places of defects, classes that meet, augmentation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes

from lib.features.fact_sheet import FactSheet

Panel = Callable[[Axes, FactSheet], None]

MOST_CLASSES = 20
_INK, _BLUE, _ORANGE = "#444444", "#3b6ea5", "#e0a13a"
_VERDICTS = {"safe": "#4aa564", "unclear": "#9a9a9a", "harmful": "#e0554d"}


def panels(sheet: FactSheet) -> list[Panel]:
    """Those that apply."""
    analysis = sheet.analysis
    wanted: list[tuple[object, Panel]] = [
        (analysis.light, _draw_light),
        (analysis.augmentations, _draw_augmentation),
        (analysis.sizes, _draw_sizes),
        (analysis.places, _draw_places),
        (len(analysis.together) > 1, _draw_together),
    ]
    return [panel for there, panel in wanted if there]


def _named_rows(axes: Axes, names: list[str]) -> None:
    axes.set_yticks(
        range(len(names)), [name if len(name) < 20 else f"{name[:19]}…" for name in names], fontsize=8
    )
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_light(axes: Axes, sheet: FactSheet) -> None:
    light, ratio = sheet.analysis.light[:MOST_CLASSES], sheet.analysis.light_ratio
    means, spreads = [one.mean for one in light], [one.spread for one in light]
    axes.errorbar(
        means, range(len(light)), xerr=spreads, fmt="o", color=_BLUE, ecolor="#a9c4e0", elinewidth=3
    )
    _named_rows(axes, [one.name for one in light])
    axes.set_xlabel("mean grey ± spread between images", fontsize=9)
    axes.set_title("brightness a class" + ("" if ratio is None else f" (η² {ratio:.2f})"), fontsize=11)


def _draw_augmentation(axes: Axes, sheet: FactSheet) -> None:
    tests = sheet.analysis.augmentations
    for row, one in enumerate(tests):
        colour = _VERDICTS[one.verdict]
        axes.plot(
            [100 * one.low, 100 * one.high], [row, row], color=colour, linewidth=4, solid_capstyle="round"
        )
        axes.text(
            1.02,
            row,
            one.verdict,
            color=colour,
            fontsize=8,
            va="center",
            transform=axes.get_yaxis_transform(),
        )
    axes.axvline(0, color=_INK, linewidth=0.8)
    _named_rows(axes, [one.name for one in tests])
    axes.set_xlabel("points gained by changed copies, 95 %", fontsize=9)
    axes.set_title("augmentation, quick classifier", fontsize=11)


def _draw_sizes(axes: Axes, sheet: FactSheet) -> None:
    sizes = sheet.analysis.sizes[:MOST_CLASSES]
    for row, one in enumerate(sizes):
        axes.plot(
            [100 * one.small, 100 * one.large],
            [row, row],
            color="#a9c4e0",
            linewidth=5,
            solid_capstyle="round",
        )
        axes.plot(100 * one.median, row, "o", color=_BLUE)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    _named_rows(axes, [f"{one.name} ({one.defects})" for one in sizes])
    axes.set_xlabel("% of the image: median, 10th to 90th percentile", fontsize=9)
    axes.set_title("size of connected defects", fontsize=11)


def _draw_places(axes: Axes, sheet: FactSheet) -> None:
    values = sheet.facts.meta_features
    extent = (0, values["width_mean"], values["height_mean"], 0)
    shown = axes.imshow(100 * np.array(sheet.analysis.places), cmap="magma", extent=extent)
    axes.figure.colorbar(shown, ax=axes, fraction=0.046, pad=0.02)
    axes.set_title(f"where defects are, % covered ({sheet.analysis.masks_looked_at} images)", fontsize=11)
    axes.tick_params(labelsize=8)


def _draw_together(axes: Axes, sheet: FactSheet) -> None:
    counts = np.array(sheet.analysis.together)
    names = [one.name for one in sheet.classes]
    shares = counts / np.maximum(np.diag(counts)[:, None], 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), n in np.ndenumerate(counts):
        if len(names) <= 8:
            colour = "white" if shares[row, column] > 0.55 else _INK
            axes.text(column, row, str(n), ha="center", va="center", fontsize=8, color=colour)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_title("images that hold both classes", fontsize=11)
