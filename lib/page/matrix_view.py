"""The completed quality matrix as a table: white measured, blue completed, red error, green embeddings, and the loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lib.page.charts import Chart, Drawing, Mark, Series, drawing
from lib.performance_prediction.als.report import report_of
from lib.performance_prediction.als.train import ZooCompletion


@dataclass(frozen=True)
class HeatCell:
    """One coloured field: its text, small print below it, what hovering says, its kind, and how strong its colour is (0 … 1)."""

    text: str
    kind: str
    tip: str = ""
    small: str = ""
    share: float = 0.0
    best: bool = False


@dataclass(frozen=True)
class HeatRow:
    """A backbone (or, below them, a bias or embedding of the heads) with its three blocks."""

    name: str
    quality: tuple[HeatCell, ...]
    weights: tuple[HeatCell, ...] = ()
    errors: tuple[HeatCell, ...] = ()


@dataclass(frozen=True)
class MatrixView:
    """All of `als.py train`'s picture. `rivals`: (method, held-out error), best first."""

    heads: tuple[str, ...]
    weight_names: tuple[str, ...]
    rows: tuple[HeatRow, ...]
    head_rows: tuple[HeatRow, ...]
    loss: Drawing | None
    rivals: tuple[tuple[str, float], ...]
    verdict: str
    notes: tuple[str, ...]
    measured: int
    completed: int
    has_cannot: bool


def matrix_view(completion: ZooCompletion) -> MatrixView:
    """The view of a completion; every number is that of `als.py train --json`."""
    report, model, matrix = report_of(completion), completion.model, completion.matrix
    n_heads = len(matrix.heads)
    cells = [report["cells"][i * n_heads : (i + 1) * n_heads] for i in range(len(matrix.backbones))]
    known = [cell for row in cells for cell in row if cell["value"] is not None]
    best = max((cell["value"] for cell in known), default=0.0)
    worst = max((cell["held_out_error"] or 0.0 for cell in known), default=0.0) or 1.0
    rows = np.column_stack([model.row_biases, model.row_factors])
    heads = np.column_stack([model.column_biases, model.column_factors]).T
    names = ("head bias", *(f"head y{k + 1}" for k in range(model.rank)))
    statuses = [cell["status"] for row in cells for cell in row]
    return MatrixView(
        heads=matrix.heads,
        weight_names=("bias", *(f"x{k + 1}" for k in range(model.rank))),
        rows=tuple(
            HeatRow(
                name,
                tuple(_quality(cell, best) for cell in row),
                _weights(rows[i], rows),
                tuple(_error(cell, worst) for cell in row),
            )
            for i, (name, row) in enumerate(zip(matrix.backbones, cells, strict=True))
        ),
        head_rows=tuple(HeatRow(name, _weights(row, heads)) for name, row in zip(names, heads, strict=True)),
        loss=_loss(report["losses"]),
        rivals=tuple(sorted(report["held_out_mae"].items(), key=lambda item: item[1])),
        verdict=report["verdict"],
        notes=tuple(report["notes"]),
        measured=statuses.count("measured"),
        completed=statuses.count("completed"),
        has_cannot="incompatible" in statuses,
    )


def _quality(cell: dict[str, Any], best: float) -> HeatCell:
    pair = f"{cell['backbone']} × {cell['head']}"
    if cell["value"] is None:
        return HeatCell("cannot", "cannot", f"{pair}: cannot work\n{cell['reason']}")
    said = f"{pair}: {cell['value']:.3f}, {cell['status']}"
    if cell["status"] == "measured":
        said += f"\n{cell['n_runs']} runs on {cell['n_data_sets']} data sets"
    else:
        said += f"\n90 % interval {cell['low']:.3f} to {cell['high']:.3f}"
    return HeatCell(f"{cell['value']:.3f}", cell["status"], said, best=cell["value"] == best)


def _error(cell: dict[str, Any], worst: float) -> HeatCell:
    error, fit = cell["held_out_error"], cell["training_error"]
    if error is None:
        return HeatCell("", "void")
    said = f"{cell['backbone']} × {cell['head']}: off by {error:.4f} when it was held out, by {fit:.4f} in the fit"
    return HeatCell(f"{error:.3f}", "error", said, f"fit {fit:.3f}", error / worst)


def _weights(row: Any, of: Any) -> tuple[HeatCell, ...]:
    largest = max(float(np.abs(of).max()), 1e-9)
    return tuple(HeatCell(f"{value:+.2f}", "weight", share=abs(float(value)) / largest) for value in row)


def _loss(losses: list[float]) -> Drawing | None:
    marks = tuple(Mark(sweep, loss) for sweep, loss in enumerate(losses, 1))
    line = Series("loss", marks, joined=True, marked=False)
    title = f"ALS loss, final {losses[-1]:.4f}" if losses else "ALS loss"
    return drawing(Chart(title, "sweep", "RMSE on measured cells", (line,)))
