"""The picture of a completed quality matrix: white measured, blue completed, red errors, green embeddings, loss below."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lib.files import replacing
from lib.performance_prediction.als.report import verdict
from lib.performance_prediction.als.train import ZooCompletion

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, FAINT, LINE = "#1c1c1c", "#6b6b6b", "#c8c8c8"
WHITE, BLUE, GREY, NOTHING = "#ffffff", "#b9d4f4", "#e4e4e4", "#fafafa"
RED_SCALE, GREEN_SCALE = ("#ffffff", "#e0554d"), ("#ffffff", "#4aa564")
CELL_WIDTH_IN, CELL_HEIGHT_IN = 0.92, 0.42
LABEL_IN = 0.085  # width of one character of a row label
LOSS_HEIGHT_IN = 2.3
MINIMUM_WIDTH_IN = 9.5
DOTS_PER_INCH = 120
SMALL, GREEN_INK = "#3d3d3d", "#2c7a45"
LONGEST_NAME = 34  # characters; a longer name is shortened in its middle

LEGEND = (
    (WHITE, "measured"),
    (BLUE, "completed by ALS"),
    (RED_SCALE[1], "absolute error: held out (small print: of the fit)"),
    (GREEN_SCALE[1], "embeddings"),
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
    """Everything that is drawn above the loss curve: fields, row names and column names."""

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
    errors_at = embedding_at + row_weights.shape[1] + 0.5
    names = ["bias", *(f"x{k + 1}" for k in range(model.rank))]
    cells = [*_quality_cells(completion), *_error_cells(completion, errors_at)]
    cells += _weight_cells(row_weights, embedding_at, 0.0)
    cells += _weight_cells(head_weights.T, 0.0, n_rows + 0.25)
    head_names = [shorten(head, 26) for head in matrix.heads]
    return PictureGrid(
        cells=tuple(cells),
        row_names=tuple(shorten(name) for name in matrix.backbones),
        column_names=tuple(
            (at + j + 0.5, name)
            for at, block in ((0.0, head_names), (embedding_at, names), (errors_at, head_names))
            for j, name in enumerate(block)
        ),
        headings=(
            (0.0, "quality"),
            (embedding_at, "embeddings"),
            (errors_at, "absolute error on held-out cells"),
        ),
        n_columns=errors_at + n_heads,
        n_rows=n_rows + row_weights.shape[1],
    )


def shorten(name: str, longest: int = LONGEST_NAME) -> str:
    """The name with its middle cut out where it is longer than `longest` characters."""
    half = (longest - 1) // 2
    return name if len(name) <= longest else f"{name[:half]}…{name[-half:]}"


def draw_completion(completion: ZooCompletion, path: Path) -> None:
    """Draws the completion as PNG; the picture grows with the matrix so that nothing overlaps."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    grid = picture_grid(completion)
    longest_name = max(len(name) for _, name in grid.column_names)
    left = 0.3 + LABEL_IN * max(len(name) for name in (*grid.row_names, "head embeddings y1"))
    right = 0.3 + LABEL_IN * 0.65 * longest_name
    top = 1.35 + LABEL_IN * 0.62 * longest_name
    width = max(left + grid.n_columns * CELL_WIDTH_IN + right, MINIMUM_WIDTH_IN)
    grid_height = (grid.n_rows + 0.25) * CELL_HEIGHT_IN
    bottom = LOSS_HEIGHT_IN + 1.55
    page = _Page(Figure(figsize=(width, top + grid_height + bottom), facecolor="white"))
    FigureCanvasAgg(page.figure)
    _draw_grid(page.axes(left, bottom, grid.n_columns * CELL_WIDTH_IN, grid_height), grid, top)
    _draw_title(page, completion)
    half = min(width / 2, 6.5)
    _draw_loss(page.axes(0.85, 1.2, half - 1.2, LOSS_HEIGHT_IN - 0.4), completion)
    _draw_rivals(page.axes(half + 1.1, 1.2, half - 1.9, LOSS_HEIGHT_IN - 0.4), completion)
    sentences = _wrapped([verdict(completion), *completion.matrix.notes], width)
    page.write(0.3, 0.35, sentences, fontsize=8.5, color=FAINT)
    with replacing(path) as draft:
        page.figure.savefig(draft, format="png", dpi=DOTS_PER_INCH)


@dataclass(frozen=True)
class _Page:
    """A figure addressed in inches from its lower left corner."""

    figure: Figure

    @property
    def size(self) -> tuple[float, float]:
        width, height = self.figure.get_size_inches()
        return float(width), float(height)

    def axes(self, left: float, bottom: float, width: float, height: float) -> Axes:
        page_width, page_height = self.size
        return self.figure.add_axes(
            (left / page_width, bottom / page_height, width / page_width, height / page_height)
        )

    def write(self, left: float, bottom: float, text: str, **style: Any) -> None:
        page_width, page_height = self.size
        self.figure.text(left / page_width, bottom / page_height, text, va="center", **style)

    def patch(self, left: float, bottom: float, colour: str) -> None:
        from matplotlib.patches import Rectangle

        page_width, page_height = self.size
        corner = (left / page_width, bottom / page_height)
        size = (0.16 / page_width, 0.16 / page_height)
        self.figure.add_artist(
            Rectangle(
                corner, *size, transform=self.figure.transFigure, facecolor=colour, edgecolor=FAINT, lw=0.6
            )
        )


def _quality_cells(completion: ZooCompletion) -> list[PictureCell]:
    matrix = completion.matrix
    cells = []
    for (i, j), value in np.ndenumerate(completion.values):
        if matrix.measured[i, j]:
            cells.append(PictureCell(j, i, f"{value:.3f}", WHITE))
        elif completion.completed[i, j]:
            cells.append(PictureCell(j, i, f"{value:.3f}", BLUE))
        else:
            cells.append(PictureCell(j, i, "cannot", GREY))
    return cells


def _error_cells(completion: ZooCompletion, at: float) -> list[PictureCell]:
    held_out, training = completion.held_out_error, completion.training_error
    largest = max(float(np.nanmax(held_out)), 1e-9)
    return [
        PictureCell(
            at + j,
            i,
            f"{error:.3f}",
            _shade(RED_SCALE, error / largest),
            small_text=f"fit {training[i, j]:.3f}",
        )
        if np.isfinite(error)
        else PictureCell(at + j, i, "", GREY if np.isnan(completion.values[i, j]) else NOTHING)
        for (i, j), error in np.ndenumerate(held_out)
    ]


def _weight_cells(weights: Any, column: float, row: float) -> list[PictureCell]:
    largest = max(float(np.abs(weights).max()), 1e-9)
    return [
        PictureCell(column + j, row + i, f"{value:+.2f}", _shade(GREEN_SCALE, abs(value) / largest))
        for (i, j), value in np.ndenumerate(weights)
    ]


def _shade(scale: tuple[str, str], share: float) -> str:
    """Colour between the two ends of the scale; never so pale that it passes for white."""
    from matplotlib.colors import to_hex, to_rgb

    pale, full = (np.array(to_rgb(colour)) for colour in scale)
    return to_hex(pale + (full - pale) * (0.25 + 0.75 * min(share, 1.0)))


def _draw_grid(axes: Axes, grid: PictureGrid, top_in: float) -> None:
    from matplotlib.patches import Rectangle

    for cell in grid.cells:
        axes.add_patch(
            Rectangle((cell.column, cell.row), 1, 1, facecolor=cell.ground, edgecolor=LINE, lw=0.8)
        )
        centre = cell.row + (0.36 if cell.small_text else 0.5)
        middle = cell.column + 0.5
        axes.text(middle, centre, cell.text, ha="center", va="center", fontsize=9.5, color=INK)
        axes.text(
            middle, cell.row + 0.78, cell.small_text, ha="center", va="center", fontsize=6.5, color=SMALL
        )
    for i, name in enumerate(grid.row_names):
        axes.text(-0.12, i + 0.5, name, ha="right", va="center", fontsize=9.5, color=INK)
    for k in range(grid.n_rows - len(grid.row_names)):
        name = f"head embeddings y{k}" if k else "head bias"
        axes.text(
            -0.12, len(grid.row_names) + 0.75 + k, name, ha="right", va="center", fontsize=9, color=GREEN_INK
        )
    style: dict[str, Any] = {"ha": "left", "va": "bottom", "rotation": 35, "rotation_mode": "anchor"}
    for x, name in grid.column_names:
        axes.text(x - 0.1, -0.15, name, fontsize=9, color=INK, **style)
    for x, heading in grid.headings:
        axes.text(
            x, -(top_in - 1.05) / CELL_HEIGHT_IN, heading, fontsize=10, weight="bold", color=INK, va="center"
        )
    axes.set_xlim(0, grid.n_columns)
    axes.set_ylim(grid.n_rows + 0.25, 0)
    axes.axis("off")


def _draw_title(page: _Page, completion: ZooCompletion) -> None:
    evidence = completion.matrix.evidence
    _, height = page.size
    title = f"{evidence.metric.capitalize().replace('_', ' ')} of each pair: {evidence.task}, domain {evidence.domain or 'all'}, epoch {evidence.epoch}"
    page.write(0.3, height - 0.32, title, fontsize=13, weight="bold", color=INK)
    x = 0.3
    for colour, text in LEGEND:
        page.patch(x, height - 0.72, colour)
        page.write(x + 0.24, height - 0.64, text, fontsize=8.5, color=INK)
        x += 0.5 + 0.066 * len(text)


def _draw_loss(axes: Axes, completion: ZooCompletion) -> None:
    losses = completion.model.losses
    axes.plot(range(1, len(losses) + 1), losses, color=INK, lw=1.6)
    axes.scatter([len(losses)], [losses[-1]], color=RED_SCALE[1], zorder=3, s=28)
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
    colours = [RED_SCALE[1] if name == "als" else "#f0b3ae" for name, _ in ranked]
    axes.barh(names, errors, color=colours, height=0.62)
    for i, error in enumerate(errors):
        axes.text(error + max(errors) * 0.02, i, f"{error:.4f}", va="center", fontsize=9, color=INK)
    axes.set_title(f"held-out error, {completion.n_folds} folds", fontsize=10, loc="left")
    axes.set_xlim(0, max(errors) * 1.25)
    axes.tick_params(labelsize=9)
    axes.tick_params(axis="x", labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def _wrapped(sentences: list[str], width_in: float) -> str:
    lines = [line for s in sentences for line in textwrap.wrap(s, int(width_in / 0.072))]
    return "\n".join(lines)
