"""A data set at a glance: its numbers, class balance, and examples of every class with masks and boxes, as one picture."""

from __future__ import annotations

import textwrap
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from lib.datasets.annotations import Component, components
from lib.datasets.base import DataSet
from lib.datasets.images import reduced_size
from lib.datasets.splits import seeded_order
from lib.features.fact_sheet import FactSheet, members
from lib.files import save_picture
from lib.reporting.analysis_pictures import panels
from lib.reporting.data_set_tables import folds_line, parts_line

_AREA_PX = 420 * 420
_SHOWN_BOXES = 25
_SHOWN_CLASSES = 20
_WIDE = 2.0
_COLOURS = ("#ff4d4d", "#ffb000", "#21c7ff", "#9be23a", "#e86bff", "#ffffff", "#ff8f66", "#6f8cff")
_STATISTICS = {
    "brightness": "brightness_mean",
    "brightness between images": "brightness_spread",
    **{
        name: f"{name.replace(' ', '_')}_mean"
        for name in ("contrast", "saturation", "edge density", "entropy", "sharpness", "spectrum slope")
    },
    "near-duplicates": "near_duplicate_share",
    "defect area": "defect_area_share",
    "defects an image": "defect_count",
    "defect contrast": "defect_contrast",
    "class separability η²": "separability_mean",
}


@dataclass(frozen=True)
class Example:
    """One image as it is drawn: `image` uint8 (h, w, 3), masks bool (n_classes, h, w) shrunk alike, boxes in its pixels."""

    image: npt.NDArray[np.uint8]
    masks: npt.NDArray[np.bool_] | None
    boxes: tuple[Component, ...]


@dataclass(frozen=True)
class ExampleRow:
    """The examples of one class (or of images without any)."""

    title: str
    examples: tuple[Example, ...]


def statistics(sheet: FactSheet) -> list[tuple[str, float]]:
    """The main numbers of the sheet, name and value, as far as they apply."""
    values = sheet.facts.meta_features
    return [(title, values[name]) for title, name in _STATISTICS.items() if name in values]


def example_rows(data_set: DataSet, a_row: int, seed: int = 0) -> list[ExampleRow]:
    """Up to `a_row` seeded examples of each of the first 20 classes; sets of masks get a row without defects too."""
    used = data_set.used
    rows = {name: members(data_set, k) for k, name in enumerate(data_set.classes[:_SHOWN_CLASSES])}
    if data_set.task == "segmentation" and data_set.mask_areas is not None:
        rows["no defect"] = used[~data_set.mask_areas[used].any(axis=1)]
    found = []
    for name, positions in (rows or {"unlabelled": used}).items():
        chosen = seeded_order(data_set.files, positions, f"{seed}:examples")[:a_row]
        if len(chosen):
            examples = tuple(_example(data_set, int(i)) for i in chosen)
            found.append(ExampleRow(f"{name} ({len(positions)} images)", examples))
    return found


def draw_data_set(data_set: DataSet, sheet: FactSheet, file: Path) -> None:
    """Draws the picture into `file` (PNG); raises OSError where it cannot be written."""
    with warnings.catch_warnings(), matplotlib.rc_context({"text.parse_math": False}):
        # names in a script the font lacks are drawn as boxes, which the picture shows well enough
        warnings.filterwarnings("ignore", message="Glyph")
        save_picture(_drawn(data_set, sheet), file)


def _drawn(data_set: DataSet, sheet: FactSheet) -> Figure:
    width, height = (sheet.facts.meta_features[name] for name in ("width_mean", "height_mean"))
    columns = 2 if width / height > _WIDE else 6
    rows = example_rows(data_set, columns)
    cell_height = 16 / columns * height / width
    row_height = min(max(cell_height, 0.8), 3.6) + 0.42
    told = [line for one in sheet.analysis.conclusions for line in textwrap.wrap(one, 190)]
    analysed = panels(sheet)
    heights = [4.0, 0.26 * len(told) + 0.02, 3.2 if analysed else 0.02, *[row_height] * len(rows)]
    figure = Figure(figsize=(16, sum(heights) + 0.2), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(len(heights), columns, height_ratios=heights)
    head = grid[0, :].subgridspec(1, 3, width_ratios=(1.15, 1, 1))
    _draw_facts(figure.add_subplot(head[0]), sheet)
    _draw_balance(figure.add_subplot(head[1]), sheet)
    _draw_statistics(figure.add_subplot(head[2]), sheet)
    conclusions = figure.add_subplot(grid[1, :])
    conclusions.set_axis_off()
    conclusions.text(0, 1, "\n".join(told), fontsize=10.5, va="top", transform=conclusions.transAxes)
    if analysed:
        places = grid[2, :].subgridspec(1, len(analysed))
        for place, draw in enumerate(analysed):
            draw(figure.add_subplot(places[place]), sheet)
    for r, row in enumerate(rows, start=3):
        for c in range(columns):
            axes = figure.add_subplot(grid[r, c])
            axes.set_axis_off()
            if c < len(row.examples):
                _draw_example(axes, row.examples[c], row.title if c == 0 else "")
    return figure


def _example(data_set: DataSet, index: int) -> Example:
    picture = Image.fromarray(data_set.read_image(index))
    size = reduced_size(picture.width, picture.height, _AREA_PX)
    image = np.asarray(picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))
    if data_set.read_mask is None:
        return Example(image, None, ())
    masks = data_set.read_mask(index)
    small = [
        np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BOX)) > 80
        for mask in masks
    ]
    scale = size[0] / picture.width
    largest = sorted(components(masks), key=lambda component: -component.area)[:_SHOWN_BOXES]
    sides = ("x", "y", "width", "height")
    boxes = (replace(box, **{s: round(getattr(box, s) * scale) for s in sides}) for box in largest)
    return Example(image, np.stack(small), tuple(boxes))


def _draw_facts(axes: Axes, sheet: FactSheet) -> None:
    facts = sheet.facts
    shown = ", ".join(f"{size} ({n})" for size, n in sheet.sizes[:3])
    more = f" and {len(sheet.sizes) - 3} other sizes" if len(sheet.sizes) > 3 else ""
    lines = [
        f"{facts.domain} · {facts.task}" + (" · PROCEDURAL: drawn by a program" if facts.procedural else ""),
        f"{sheet.images} images, own split: {parts_line(sheet)}",
        f"height×width: {shown}{more}",
    ]
    if sheet.images_without_defect is not None:
        lines.append(f"{sheet.images_without_defect} images without a defect")
    lines.append(f"{sheet.near_duplicate_images} near-duplicates in {sheet.near_duplicate_groups} groups")
    if sheet.facts.task == "segmentation":
        lines.append("below: masks outlined, boxes of connected pieces dotted")
    if sheet.tested:
        lines.insert(2, f"folds: {folds_line(sheet)}")
    axes.set_axis_off()
    place: dict[str, Any] = {"va": "top", "transform": axes.transAxes}
    axes.text(0, 1, facts.name, fontsize=20, fontweight="bold", **place)
    axes.text(0, 0.84, textwrap.fill(facts.description, 72), fontsize=10, color="#444444", **place)
    axes.text(0, 0.6, "\n".join(lines), fontsize=11, linespacing=1.4, **place)


def _draw_balance(axes: Axes, sheet: FactSheet) -> None:
    names = [entry.name for entry in sheet.classes]
    positions = np.arange(len(names))
    left = np.zeros(len(names))
    for part, colour in (("train", "#3b6ea5"), ("validation", "#8fb3d9"), ("test", "#e0a13a")):
        counts = np.array([getattr(entry, part) for entry in sheet.classes], dtype=float)
        axes.barh(positions, counts, left=left, color=colour, label=part)
        left += counts
    axes.set_yticks(positions, names, fontsize=9)
    axes.invert_yaxis()
    axes.set_xlabel("images")
    axes.set_title("class balance", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    if names:
        axes.legend(frameon=False, fontsize=9, ncols=3, loc="lower center", bbox_to_anchor=(0.5, -0.32))
    else:
        axes.set_axis_off()


def _draw_statistics(axes: Axes, sheet: FactSheet) -> None:
    axes.set_axis_off()
    axes.set_title(f"how {sheet.looked_at} of the images look", fontsize=11)
    rows = statistics(sheet)
    for i, (name, value) in enumerate(rows):
        y = 0.96 - i * 0.96 / max(len(rows), 1)
        axes.text(0.08, y, name, fontsize=10, va="top", transform=axes.transAxes)
        axes.text(0.95, y, f"{value:.3g}", fontsize=10, va="top", ha="right", transform=axes.transAxes)


def _draw_example(axes: Axes, example: Example, title: str) -> None:
    axes.imshow(example.image, interpolation="nearest")
    axes.set_title(title or " ", fontsize=11, fontweight="bold", loc="left")
    for k, mask in enumerate(example.masks if example.masks is not None else ()):
        if mask.any() and not mask.all():
            axes.contour(mask, levels=[0.5], colors=[_COLOURS[k % len(_COLOURS)]], linewidths=1.1)
    for box in example.boxes:
        corner, colour = (box.x - 0.5, box.y - 0.5), _COLOURS[box.class_index % len(_COLOURS)]
        axes.add_patch(Rectangle(corner, box.width, box.height, fill=False, linestyle=":", edgecolor=colour))
