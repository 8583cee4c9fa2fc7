"""Embeddings as a scatter by class: one panel a backbone, and the numbers beside it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.table import Table

from lib.features.embedding_picture import EmbeddingPicture
from lib.files import save_picture
from lib.reporting.tables import shown, table_of

MOST_IN_LEGEND = 20
_MARKERS = "os^Dvph"


def embedding_table(pictures: Sequence[EmbeddingPicture]) -> Table:
    """One row a backbone."""
    headings = ("backbone", ">images", ">variance of 2 axes", ">silhouette", ">10-NN purity", ">by chance")
    rows = [
        (
            one.backbone,
            f"{len(one.points):,}",
            f"{sum(one.explained_variance[:2]):.1%}",
            shown(one.silhouette, "{:+.3f}"),
            shown(one.knn_purity, "{:.3f}"),
            shown(one.chance_purity, "{:.3f}"),
        )
        for one in pictures
    ]
    return table_of(headings, rows, title=f"Embeddings of {pictures[0].data_set}")


def draw_embeddings(pictures: Sequence[EmbeddingPicture], file: Path) -> None:
    """Draws the panels side by side into `file` (PNG), one legend for all; raises OSError where it cannot be written."""
    with rc_context({"text.parse_math": False}):
        figure = Figure(figsize=(6.2 * len(pictures) + 2.2, 6), layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(1, len(pictures), squeeze=False)[0]
        for axes, picture in zip(panels, pictures, strict=True):
            _scatter(axes, picture)
        handles, labels = panels[-1].get_legend_handles_labels()
        if handles:
            figure.legend(handles, labels, loc="outside right center", frameon=False, markerscale=1.8)
        figure.suptitle(f"{pictures[0].data_set}: embeddings by {pictures[0].method.upper()}")
        save_picture(figure, file)


def _scatter(axes: Axes, picture: EmbeddingPicture) -> None:
    x, y = picture.points.T
    size = float(np.clip(6000 / len(x), 5, 40))
    if picture.labels is None:
        axes.scatter(x, y, s=size, alpha=0.6, linewidths=0)
    else:
        colours = colormaps["tab10" if len(picture.classes) <= 10 else "tab20"]
        for k in np.unique(picture.labels):
            mine = picture.labels == k
            colour, marker = [colours(int(k) % colours.N)], _MARKERS[int(k) // colours.N % len(_MARKERS)]
            label = _named(picture.classes[k]) if k < MOST_IN_LEGEND else None
            axes.scatter(
                x[mine], y[mine], s=size, alpha=0.65, linewidths=0, label=label, c=colour, marker=marker
            )
    axes.set_title("\n".join([picture.backbone, _judgement(picture)]), fontsize=10)
    _label(axes, picture)


def _named(name: str) -> str:
    return textwrap.shorten(name, 24, placeholder="…")


def _judgement(picture: EmbeddingPicture) -> str:
    if picture.knn_purity is None:
        return f"{len(picture.points):,} images"
    return f"silhouette {picture.silhouette:+.3f}, 10-NN purity {picture.knn_purity:.3f}"


def _label(axes: Axes, picture: EmbeddingPicture) -> None:
    if picture.method == "pca":
        for name, share in zip("xy", picture.explained_variance[:2], strict=False):
            number = "xy".index(name) + 1
            axes.set(**{f"{name}label": f"component {number} ({share:.1%} of the variance)"})
    else:
        axes.set(xlabel="UMAP 1", ylabel="UMAP 2")
    axes.set(xticks=[], yticks=[])
    axes.spines[["top", "right"]].set_visible(False)
