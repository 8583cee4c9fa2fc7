"""Generated images beside real ones, what was found out about them, and what they are worth in training."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.table import Table

from lib.files import save_picture
from lib.reporting.tables import shown, table_of

if TYPE_CHECKING:
    from lib.zoo.generator.judging import Judgement
    from lib.zoo.generator.study import Study

Pictures = npt.NDArray[np.uint8]
MOST_CLASSES = 12
GAP_PX = 2


def judgement_table(judged: Mapping[str, tuple[Judgement, float]]) -> Table:
    """One row a model: (judgement, minutes of training)."""
    headings = (
        "model",
        ">minutes",
        ">samples",
        ">right class",
        ">real ones",
        ">distance",
        ">of real ones",
        ">copied",
    )
    rows = [
        (
            name,
            f"{minutes:.1f}",
            str(one.n_samples),
            f"{one.accuracy:.3f}",
            shown(one.accuracy_real, "{:.3f}"),
            f"{one.distance:.2f}",
            f"{one.distance_real:.2f}",
            f"{one.copied:.1%}",
        )
        for name, (one, minutes) in judged.items()
    ]
    return table_of(headings, rows, title="Generated images")


def study_table(study: Study) -> Table:
    """One row a share of generated images."""
    headings = (">generated", ">real images", ">generated images", ">accuracy", ">± test images", ">± seeds")
    rows = [
        (
            f"{row.percent}%",
            str(row.n_real),
            str(row.n_generated),
            f"{row.accuracy:.4f}",
            f"{row.standard_error:.4f}",
            shown(row.spread),
        )
        for row in study.rows
    ]
    return table_of(headings, rows, title=f"{study.data_set}: {study.backbone} × {study.head}")


def conclusion(study: Study) -> str:
    """One sentence: whether any share differs from none by more than two standard errors of the difference."""
    none, *others = study.rows
    best = max(others, key=lambda row: row.accuracy)
    gain, noise = best.accuracy - none.accuracy, 2 * math.hypot(none.standard_error, best.standard_error)
    what = f"the best share of generated images ({best.percent}%) changes the accuracy by {100 * gain:+.1f} points"
    return f"{what}, {'more' if abs(gain) > noise else 'no more'} than the {100 * noise:.1f} that other test images would"


def draw_samples(
    classes: Sequence[str],
    real: Mapping[int, Pictures],
    drawn: Mapping[int, Pictures],
    title: str,
    file: Path,
) -> None:
    """Rows of classes; on the left real training images of the same size, on the right generated ones. `real`, `drawn`: class →
    uint8 (n, size, size, 3)."""
    shown_classes = [k for k in drawn if k in real][:MOST_CLASSES]
    with rc_context({"text.parse_math": False}):
        figure = Figure(figsize=(13, 1.0 + 1.0 * len(shown_classes)), layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.subplots(len(shown_classes), 2, squeeze=False)
        for (left, right), k in zip(grid, shown_classes, strict=True):
            for axes, pictures in ((left, real[k]), (right, drawn[k])):
                axes.imshow(_strip(pictures), interpolation="nearest")
                axes.set(xticks=[], yticks=[])
                axes.spines[:].set_visible(False)
            name = textwrap.shorten(classes[k].replace("_", " "), 18, placeholder="…")
            left.set_ylabel(name, rotation=0, ha="right", va="center")
        for axes, heading in zip(grid[0], ("real, made as small", "generated"), strict=True):
            axes.set_title(heading, fontsize=10)
        figure.suptitle(title)
        save_picture(figure, file, dpi=130)


def _strip(pictures: Pictures) -> Pictures:
    """Images side by side with white gaps."""
    gap = np.full((pictures.shape[1], GAP_PX, 3), 255, dtype=np.uint8)
    pieces: list[Any] = [piece for picture in pictures for piece in (picture, gap)]
    return np.concatenate(pieces[:-1], axis=1)


def draw_study(study: Study, file: Path) -> None:
    """Accuracy against the share of generated images, with the error bars of other test images and a dot a seed."""
    with rc_context({"text.parse_math": False}):
        figure = Figure(figsize=(7.5, 4.8), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        x = [row.percent for row in study.rows]
        errors = [row.standard_error for row in study.rows]
        axes.errorbar(
            x,
            [row.accuracy for row in study.rows],
            errors,
            marker="o",
            capsize=4,
            label="mean ± 1 standard error (images)",
        )
        for i, row in enumerate(study.rows):
            label = "one seed" if i == 0 else None
            axes.plot([row.percent] * len(row.accuracies), row.accuracies, ".", color="0.45", label=label)
        axes.axhline(study.rows[0].accuracy, color="0.7", linestyle="--", linewidth=1, zorder=0)
        axes.set(
            xlabel="generated images, % of the real training images",
            ylabel="accuracy on real test images",
            xticks=x,
            title=f"{study.data_set}: {study.backbone} × {study.head}",
        )
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
        save_picture(figure, file, dpi=110)
