"""How good masks are, to look at: image, truth, answer and error of the best, the median and the worst images, and Dice by defect size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.table import Table

from lib.files import save_picture
from lib.reporting.tables import shown, table_of

Masks = npt.NDArray[np.bool_]
Picture = npt.NDArray[np.uint8]

COLOURS = ((255, 196, 0), (232, 107, 255), (0, 200, 220), (150, 220, 60), (255, 128, 60), (120, 130, 255))
HIT, FALSE_ALARM, MISSED = (46, 160, 67), (215, 48, 39), (49, 104, 220)
STRENGTH = 0.55
SHOWN_OF_EACH = 2
PANEL_IN = 2.6
SIZE_BINS = 5


@dataclass(frozen=True)
class AnsweredImage:
    """An image that was answered: its file, Dice (mean over the classes, 1 where both masks are empty) and the share of it that
    is defect."""

    file: str
    dice: float
    defect_share: float


@dataclass(frozen=True)
class ShownImage:
    """What is drawn of an image: uint8 `image` (h, w, 3), bool `truth` and `answer` (n_classes, h, w)."""

    label: str
    image: Picture
    truth: Masks
    answer: Masks


def picked(answered: Sequence[AnsweredImage], of_each: int = SHOWN_OF_EACH) -> dict[int, str]:
    """Positions of the best, the median and the worst images by Dice → what they are; of those with a defect, where there are any.

    >>> picked([AnsweredImage(str(i), i / 10, 0.1) for i in range(5)], of_each=1)
    {4: 'best', 2: 'median', 0: 'worst'}
    """
    with_defect = [i for i, one in enumerate(answered) if one.defect_share > 0]
    order = sorted(with_defect or range(len(answered)), key=lambda i: (-answered[i].dice, answered[i].file))
    of_each = max(min(of_each, len(order) // 3), 1)
    middle = max((len(order) - of_each) // 2, 0)
    groups = {"best": order[:of_each], "worst": order[-of_each:], "median": order[middle : middle + of_each]}
    chosen: dict[int, str] = {}
    for name in ("best", "worst", "median"):
        chosen |= {i: name for i in groups[name] if i not in chosen}
    return dict(sorted(chosen.items(), key=lambda item: order.index(item[0])))


def dice_by_size(answered: Sequence[AnsweredImage]) -> list[tuple[float, float, int]]:
    """(median share of the image that is defect, mean Dice, images) of up to five groups of equally many images with a defect."""
    rows = sorted((one.defect_share, one.dice) for one in answered if one.defect_share > 0)
    groups = np.array_split(np.array(rows), min(SIZE_BINS, len(rows))) if rows else []
    return [(float(np.median(g[:, 0])), float(g[:, 1].mean()), len(g)) for g in groups]


def coloured(image: Picture, masks: Masks) -> Picture:
    """The image with each class in its colour."""
    return _tinted(image, [(mask, COLOURS[k % len(COLOURS)]) for k, mask in enumerate(masks)])


def errors(image: Picture, truth: Masks, answer: Masks) -> Picture:
    """The grey image with hits in green, false alarms in red, misses in blue, whatever the class."""
    grey = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)
    hit, false, missed = (np.any(m, axis=0) for m in (truth & answer, ~truth & answer, truth & ~answer))
    return _tinted(grey, [(hit, HIT), (missed & ~hit, MISSED), (false & ~hit, FALSE_ALARM)])


def _tinted(image: Picture, layers: Sequence[tuple[Any, tuple[int, int, int]]]) -> Picture:
    tinted = image.astype(np.float32)
    for mask, colour in layers:
        tinted[mask] = (1 - STRENGTH) * tinted[mask] + STRENGTH * np.array(colour)
    return tinted.round().astype(np.uint8)


def draw_masks(
    images: Sequence[ShownImage],
    answered: Sequence[AnsweredImage],
    classes: Sequence[str],
    title: str,
    path: Path,
) -> None:
    """Draws the images, one a row (wide strips one a block of four rows), and below them Dice by defect size, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height, width = images[0].image.shape[:2]
    columns = 4 if width < 3 * height else 1
    panel = (PANEL_IN, PANEL_IN * height / width) if columns == 4 else (9.0, 9.0 * height / width)
    n_rows = -(-4 * len(images) // columns)
    tall = [panel[1] + 0.3] * n_rows + [2.9]
    size = (max(columns * (panel[0] + 0.1), 9.0) + 0.3, sum(tall) + 1.0)
    figure = Figure(figsize=size, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(n_rows + 1, columns, height_ratios=tall)
    for place, (name, picture) in enumerate(_panels(images)):
        axes = figure.add_subplot(grid[place // columns, place % columns])
        axes.imshow(picture)
        axes.set_title(name, fontsize=8, loc="left")
        axes.set_axis_off()
    _draw_sizes(figure.add_subplot(grid[n_rows, :]), answered)
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    _draw_legend(figure, classes)
    save_picture(figure, path, 110)


def _panels(images: Sequence[ShownImage]) -> list[tuple[str, Picture]]:
    panels = []
    for one in images:
        panels += [
            (one.label, one.image),
            ("truth", coloured(one.image, one.truth)),
            ("answer", coloured(one.image, one.answer)),
            ("error", errors(one.image, one.truth, one.answer)),
        ]
    return panels


def _draw_legend(figure: Any, classes: Sequence[str]) -> None:
    from matplotlib.patches import Patch

    kinds = [(name, COLOURS[k % len(COLOURS)]) for k, name in enumerate(classes)]
    results = [("hit", HIT), ("missed", MISSED), ("false alarm", FALSE_ALARM)]
    patches = [
        Patch(color=f"#{red:02x}{green:02x}{blue:02x}", label=name)
        for name, (red, green, blue) in [*kinds, *results]
    ]
    figure.legend(
        handles=patches, loc="outside lower left", ncols=min(len(patches), 9), fontsize=8, frameon=False
    )


def _draw_sizes(axes: Any, answered: Sequence[AnsweredImage]) -> None:
    from matplotlib.ticker import FuncFormatter

    with_defect = [one for one in answered if one.defect_share > 0]
    groups = dice_by_size(answered)
    axes.scatter(
        [100 * one.defect_share for one in with_defect],
        [one.dice for one in with_defect],
        s=12,
        color="#9db4d8",
        label="an image",
    )
    axes.plot(
        [100 * size for size, _, _ in groups],
        [dice for _, dice, _ in groups],
        "o-",
        color="#1f4e9c",
        label="mean of a fifth of the images",
    )
    if with_defect:
        axes.set_xscale("log")
        for formatter in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
            formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_ylim(-0.03, 1.03)
    axes.set_xlabel("share of the image that is defect, %", fontsize=8)
    axes.set_ylabel("Dice", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8, frameon=False, loc="lower right")


def answered_json(answered: Sequence[AnsweredImage]) -> dict[str, Any]:
    """Every image, and Dice by defect size."""
    names = ("defect_share", "dice", "images")
    groups = [dict(zip(names, group, strict=True)) for group in dice_by_size(answered)]
    return {"images": [asdict(one) for one in answered], "by_defect_size": groups}


def answered_table(answered: Sequence[AnsweredImage], chosen: Mapping[int, str]) -> Table:
    """The images that are drawn, and the groups of defect sizes."""
    rows = [
        (name, answered[i].file, f"{answered[i].defect_share:.2%}", shown(answered[i].dice))
        for i, name in chosen.items()
    ]
    groups = [
        (f"{n} images", "by defect size", f"{size:.2%}", shown(dice))
        for size, dice, n in dice_by_size(answered)
    ]
    return table_of(("<", "<image", ">defect", ">Dice"), [*rows, *groups])
