"""The picture of a completed quality matrix: white measured, blue completed, red errors, green embeddings, loss below."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lib.files import save_picture
from lib.performance_prediction.als.report import verdict
from lib.performance_prediction.als.train import ZooCompletion

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, FAINT, LINE, SMALL, GREEN_INK = "#1c1c1c", "#6b6b6b", "#c8c8c8", "#3d3d3d", "#2c7a45"
WHITE, BLUE, GREY, NOTHING = "#ffffff", "#b9d4f4", "#e4e4e4", "#fafafa"
RED, PALE_RED, GREEN = "#e0554d", "#f0b3ae", "#4aa564"
GROUNDS = {"measured": WHITE, "completed": BLUE, "incompatible": GREY}
CELL_WIDTH_IN, CELL_HEIGHT_IN = 0.92, 0.42
LABEL_IN = 0.085  # width of one character of a row label
LOSS_HEIGHT_IN = 2.3
LINE_IN = 0.165  # height of a line of the small print
MINIMUM_WIDTH_IN = 9.5
DOTS_PER_INCH = 120
LONGEST_NAME, LONGEST_HEAD = 34, 26  # characters; a longer name is shortened in its middle

LEGEND = (
    (WHITE, "measured"),
    (BLUE, "completed by ALS"),
    (RED, "absolute error: held out (small print: of the fit)"),
    (GREEN, "embeddings"),
    (GREY, "cannot work"),
)


@dataclass(frozen=True)
class PictureCell:
    """One coloured field of the picture: position in cells from the top left, its text and its ground."""

    column: float
    row: float
    text: str
    ground: str
    small_text: str = ""


@dataclass(frozen=True)
class PictureGrid:
    """Everything that is drawn above the loss curve; names of columns and headings with the column they stand at."""

    cells: tuple[PictureCell, ...]
    row_names: tuple[str, ...]
    column_names: tuple[tuple[float, str], ...]
    headings: tuple[tuple[float, str], ...]
    n_columns: float
    n_rows: int


def picture_grid(completion: ZooCompletion) -> PictureGrid:
    """Fields of the picture: quality block, its embeddings to the right and below, error block at the far right."""
    matrix, model = completion.matrix, completion.model
    n_rows, n_heads = matrix.values.shape
    row_weights = np.column_stack([model.row_biases, model.row_factors])
    head_weights = np.column_stack([model.column_biases, model.column_factors])
    embedding_at = n_heads + 0.25
    errors_at = embedding_at + model.rank + 1.5
    names = ["bias", *(f"x{k + 1}" for k in range(model.rank))]
    heads = [shorten(head, LONGEST_HEAD) for head in matrix.heads]
    blocks = ((0.0, heads), (embedding_at, names), (errors_at, heads))
    titles = ("quality", "embeddings", "absolute error on held-out cells")
    return PictureGrid(
        cells=(
            *_quality_cells(completion),
            *_error_cells(completion, errors_at),
            *_weight_cells(row_weights, embedding_at, 0.0),
            *_weight_cells(head_weights.T, 0.0, n_rows + 0.25),
        ),
        row_names=tuple(shorten(name) for name in matrix.backbones),
        column_names=tuple((at + j + 0.5, name) for at, block in blocks for j, name in enumerate(block)),
        headings=tuple((at, title) for (at, _), title in zip(blocks, titles, strict=True)),
        n_columns=errors_at + n_heads,
        n_rows=n_rows + model.rank + 1,
    )


def shorten(name: str, longest: int = LONGEST_NAME) -> str:
    """The name with its middle cut out where it is longer than `longest` characters."""
    half = (longest - 1) // 2
    return name if len(name) <= longest else f"{name[:half]}…{name[-half:]}"


def _quality_cells(completion: ZooCompletion) -> list[PictureCell]:
    return [
        PictureCell(
            j,
            i,
            "cannot" if np.isnan(value) else f"{value:.3f}",
            GROUNDS[completion.status(i, j)],
            _counted(completion, i, j),
        )
        for (i, j), value in np.ndenumerate(completion.values)
    ]


def _counted(completion: ZooCompletion, i: int, j: int) -> str:
    """On how many data sets a partly completed pair was measured."""
    partly = completion.status(i, j) == "completed" and completion.matrix.measured[i, j]
    return f"{completion.matrix.n_data_sets[i, j]} of {completion.n_data_sets} sets" if partly else ""


def _error_cells(completion: ZooCompletion, at: float) -> list[PictureCell]:
    held_out, fit = completion.held_out_error, completion.training_error
    largest = max(float(np.nanmax(held_out)), 1e-9)
    return [
        PictureCell(at + j, i, f"{error:.3f}", _shade(RED, error / largest), f"fit {fit[i, j]:.3f}")
        if np.isfinite(error)
        else PictureCell(at + j, i, "", GREY if np.isnan(completion.values[i, j]) else NOTHING)
        for (i, j), error in np.ndenumerate(held_out)
    ]


def _weight_cells(weights: Any, column: float, row: float) -> list[PictureCell]:
    largest = max(float(np.abs(weights).max()), 1e-9)
    return [
        PictureCell(column + j, row + i, f"{value:+.2f}", _shade(GREEN, abs(value) / largest))
        for (i, j), value in np.ndenumerate(weights)
    ]


def _shade(full: str, share: float) -> str:
    """Colour between white and `full`; never so pale that it passes for white."""
    from matplotlib.colors import to_hex, to_rgb

    white: Any = np.ones(3)
    return to_hex(white + (np.array(to_rgb(full)) - white) * (0.25 + 0.75 * min(share, 1.0)))


def draw_completion(completion: ZooCompletion, path: Path) -> None:
    """Draws the completion as PNG; the picture grows with the matrix so that nothing overlaps."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    grid = picture_grid(completion)
    longest_name = max(len(name) for _, name in grid.column_names)
    left = 0.3 + LABEL_IN * max(len(name) for name in (*grid.row_names, "head embeddings y1"))
    top = 1.35 + LABEL_IN * 0.62 * longest_name
    grid_width, grid_height = grid.n_columns * CELL_WIDTH_IN, (grid.n_rows + 0.25) * CELL_HEIGHT_IN
    width = max(left + grid_width + 0.3 + LABEL_IN * 0.65 * longest_name, MINIMUM_WIDTH_IN)
    kinds = [one.sentence for one in completion.held_out]
    sentences = [verdict(completion), *kinds, *completion.matrix.notes]
    lines = [line for sentence in sentences for line in textwrap.wrap(sentence, int(width / 0.072))]
    floor = 0.75 + LINE_IN * len(lines)
    bottom = floor + LOSS_HEIGHT_IN + 0.35
    size = (width, top + grid_height + bottom)
    figure = Figure(figsize=size, facecolor="white")
    FigureCanvasAgg(figure)

    def axes(*box_in: float) -> Axes:
        return figure.add_axes(tuple(np.divide(box_in, (*size, *size)).tolist()))

    half = min(width / 2, 6.5)
    _draw_grid(axes(left, bottom, grid_width, grid_height), grid, top)
    _draw_title(figure, completion, size[1])
    _draw_loss(axes(0.85, floor, half - 1.2, LOSS_HEIGHT_IN - 0.4), completion)
    _draw_rivals(axes(half + 1.1, floor, half - 1.9, LOSS_HEIGHT_IN - 0.4), completion)
    _write(figure, 0.3, 0.1 + LINE_IN * len(lines) / 2, "\n".join(lines), fontsize=8.5, color=FAINT)
    save_picture(figure, path, DOTS_PER_INCH)


def _write(figure: Figure, left_in: float, bottom_in: float, text: str, **style: Any) -> None:
    figure.text(left_in, bottom_in, text, va="center", transform=figure.dpi_scale_trans, **style)


def _draw_grid(axes: Axes, grid: PictureGrid, top_in: float) -> None:
    from matplotlib.patches import Rectangle

    def write(x: float, y: float, text: str, size: float, colour: str = INK, **style: Any) -> None:
        axes.text(x, y, text, fontsize=size, color=colour, **{"va": "center", **style})

    for cell in grid.cells:
        corner, middle = (cell.column, cell.row), cell.column + 0.5
        axes.add_patch(Rectangle(corner, 1, 1, facecolor=cell.ground, edgecolor=LINE, lw=0.8))
        write(middle, cell.row + (0.36 if cell.small_text else 0.5), cell.text, 9.5, ha="center")
        write(middle, cell.row + 0.78, cell.small_text, 6.5, SMALL, ha="center")
    for i, name in enumerate(grid.row_names):
        write(-0.12, i + 0.5, name, 9.5, ha="right")
    for k in range(grid.n_rows - len(grid.row_names)):
        name = f"head embeddings y{k}" if k else "head bias"
        write(-0.12, len(grid.row_names) + 0.75 + k, name, 9, GREEN_INK, ha="right")
    for x, name in grid.column_names:
        write(x - 0.1, -0.15, name, 9, va="bottom", rotation=35, rotation_mode="anchor")
    for x, heading in grid.headings:
        write(x, -(top_in - 1.05) / CELL_HEIGHT_IN, heading, 10, weight="bold")
    axes.set_xlim(0, grid.n_columns)
    axes.set_ylim(grid.n_rows + 0.25, 0)
    axes.axis("off")


def _draw_title(figure: Figure, completion: ZooCompletion, height_in: float) -> None:
    from matplotlib.patches import Rectangle

    evidence, inches = completion.matrix.evidence, figure.dpi_scale_trans
    title = f"{evidence.metric.capitalize().replace('_', ' ')} of each pair: {evidence.task}, domain {evidence.domain or 'all'}, epoch {evidence.epoch}"
    _write(figure, 0.3, height_in - 0.32, title, fontsize=13, weight="bold", color=INK)
    style: dict[str, Any] = {"edgecolor": FAINT, "lw": 0.6, "transform": inches}
    x = 0.3
    for colour, text in LEGEND:
        figure.add_artist(Rectangle((x, height_in - 0.72), 0.16, 0.16, facecolor=colour, **style))
        _write(figure, x + 0.24, height_in - 0.64, text, fontsize=8.5, color=INK)
        x += 0.5 + 0.066 * len(text)


def _draw_loss(axes: Axes, completion: ZooCompletion) -> None:
    losses = completion.course.losses
    axes.plot(range(1, len(losses) + 1), losses, color=INK, lw=1.6)
    axes.scatter([len(losses)], [losses[-1]], color=RED, zorder=3, s=28)
    axes.set_title(f"ALS loss, final {losses[-1]:.4f}", fontsize=10, loc="left")
    axes.set_xlabel("sweep", fontsize=9)
    axes.set_ylabel("RMSE on measured cells", fontsize=9)
    axes.set_ylim(bottom=0)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_rivals(axes: Axes, completion: ZooCompletion) -> None:
    ranked = sorted(completion.held_out_mae.items(), key=lambda item: -item[1])
    names = [name.replace("_", " ") for name, _ in ranked]
    errors = [mae for _, mae in ranked]
    axes.barh(names, errors, color=[RED if n == "als" else PALE_RED for n in names], height=0.62)
    for i, error in enumerate(errors):
        axes.text(error + errors[0] * 0.02, i, f"{error:.4f}", va="center", fontsize=9, color=INK)
    axes.set_title(f"held-out error, {completion.n_folds} folds", fontsize=10, loc="left")
    axes.set_xlim(0, errors[0] * 1.25)
    axes.tick_params(labelsize=9)
    axes.tick_params(axis="x", labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
