"""What `als.py train` leaves on disk: factors, the completed matrix, and a report; no pickles."""

from __future__ import annotations

import json
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path

import numpy as np

from lib.files import csv_text, write_atomically, write_npz, writing
from lib.performance_prediction.als.train import ZooCompletion
from lib.performance_prediction.boosting.evidence import Pair
from lib.records.schema import PRIMARY_METRIC

NEAR_TIE = 0.98  # of the best rival's error: nearer than that is no difference worth a claim


@dataclass(frozen=True)
class CompletedCell:
    """One pair of the completed matrix. `held_out_error` and `training_error` exist for measured cells only."""

    backbone: str
    head: str
    status: str
    value: float | None
    low: float | None
    high: float | None
    n_runs: int
    n_data_sets: int
    held_out_error: float | None
    training_error: float | None
    reason: str = ""


@dataclass(frozen=True)
class CompletionReport:
    """All of a completion but its factors."""

    task: str
    domain: str
    metric: str
    epoch: int
    data_sets: tuple[str, ...]
    n_runs: int
    rank: int
    regularisation: float
    losses: tuple[float, ...]
    held_out_mae: dict[str, float]
    n_folds: int
    verdict: str
    notes: tuple[str, ...]
    cells: tuple[CompletedCell, ...]


def report_of(completion: ZooCompletion) -> CompletionReport:
    """The report of a completion, cells row by row."""
    evidence, model = completion.matrix.evidence, completion.model
    return CompletionReport(
        task=evidence.task,
        domain=evidence.domain or "all",
        metric=evidence.metric,
        epoch=evidence.epoch,
        data_sets=evidence.data_sets,
        n_runs=len(evidence.runs),
        rank=model.rank,
        regularisation=model.regularisation,
        losses=model.losses,
        held_out_mae=dict(completion.held_out_mae),
        n_folds=completion.n_folds,
        verdict=verdict(completion),
        notes=completion.matrix.notes,
        cells=tuple(_cell(completion, i, j) for i, j in np.ndindex(completion.values.shape)),
    )


def verdict(completion: ZooCompletion) -> str:
    """One sentence: whether ALS earns its place beside the trivial rivals."""
    mae = completion.held_out_mae
    if completion.beaten_by:
        listed = ", ".join(f"{name} ({mae[name]:.4f})" for name in completion.beaten_by)
        return (
            f"ALS does NOT beat {listed}: its held-out error is {mae['als']:.4f}; trust those for the holes"
        )
    error, best = min((value, name) for name, value in mae.items() if name != "als")
    if mae["als"] > NEAR_TIE * error:
        return f"ALS is no better than {best} on held-out cells: {mae['als']:.4f} against {error:.4f}"
    return f"ALS beats every rival on held-out cells: {mae['als']:.4f} against {error:.4f} of {best}"


def file_stem(completion: ZooCompletion) -> str:
    """Beginning of every file name of this completion, e.g. `classification_medical_epoch10`; another metric is named."""
    evidence = completion.matrix.evidence
    domain = "".join(c if c.isalnum() or c in "-_" else "_" for c in evidence.domain or "all")
    metric = "" if evidence.metric == PRIMARY_METRIC[evidence.task] else f"_{evidence.metric}"
    return f"{evidence.task}{metric}_{domain}_epoch{evidence.epoch}"


def write_completion(completion: ZooCompletion, report: CompletionReport, folder: Path) -> list[Path]:
    """Writes `<stem>.factors.npz`, `.matrix.csv`, `.report.json` and `.report.md` into `folder`; returns their paths.

    Raises CvAutomlError where the folder cannot be written.
    """
    stem = folder / file_stem(completion)
    names = [field.name for field in fields(CompletedCell)]
    texts = {
        Path(f"{stem}.matrix.csv"): csv_text([names, *map(astuple, report.cells)]),
        Path(f"{stem}.report.json"): json.dumps(asdict(report), indent=1, ensure_ascii=False) + "\n",
        Path(f"{stem}.report.md"): _markdown(report),
    }
    factors = Path(f"{stem}.factors.npz")
    writing(folder, lambda: _write_factors(completion, factors))
    for path, text in texts.items():
        writing(folder, lambda path=path, text=text: write_atomically(path, text))  # type: ignore[misc]
    return [factors, *texts]


def _cell(completion: ZooCompletion, i: int, j: int) -> CompletedCell:
    matrix = completion.matrix
    pair, measured = Pair(matrix.backbones[i], matrix.heads[j]), bool(matrix.measured[i, j])
    hole = "completed" if completion.completed[i, j] else "incompatible"
    return CompletedCell(
        backbone=pair.backbone,
        head=pair.head,
        status="measured" if measured else hole,
        value=_number(completion.values[i, j]),
        low=_number(completion.low[i, j]),
        high=_number(completion.high[i, j]),
        n_runs=int(matrix.n_runs[i, j]),
        n_data_sets=int(matrix.n_data_sets[i, j]),
        held_out_error=_number(completion.held_out_error[i, j]),
        training_error=_number(completion.training_error[i, j]),
        reason="" if measured else matrix.incompatible.get(pair, ""),
    )


def _number(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None


def _markdown(report: CompletionReport) -> str:
    holes = sum(cell.status == "completed" for cell in report.cells)
    measured = sum(cell.status == "measured" for cell in report.cells)
    lines = [
        f"# Completed quality matrix: {report.task}, domain {report.domain}, epoch {report.epoch}",
        "",
        f"{report.n_runs} runs on {len(report.data_sets)} data sets; {measured} pairs measured, {holes} completed. "
        f"Rank {report.rank}, regularisation {report.regularisation:g}, final loss {report.losses[-1]:.4f} (RMSE).",
        "",
        report.verdict + ".",
        "",
        *(f"- {note}" for note in report.notes),
        "",
        f"| method | held-out error ({report.n_folds} folds) |",
        "| --- | --- |",
        *(f"| {name} | {mae:.4f} |" for name, mae in sorted(report.held_out_mae.items(), key=lambda x: x[1])),
        "",
        "| backbone | head | status | quality | 90 % interval | runs | data sets | held-out error |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *(_markdown_row(cell) for cell in report.cells),
    ]
    return "\n".join(lines) + "\n"


def _markdown_row(cell: CompletedCell) -> str:
    value = "" if cell.value is None else f"{cell.value:.3f}"
    interval = f"{cell.low:.3f} to {cell.high:.3f}" if cell.status == "completed" else cell.reason
    error = "" if cell.held_out_error is None else f"{cell.held_out_error:.3f}"
    return f"| {cell.backbone} | {cell.head} | {cell.status} | {value} | {interval} | {cell.n_runs} | {cell.n_data_sets} | {error} |"


def _write_factors(completion: ZooCompletion, path: Path) -> None:
    model = completion.model
    write_npz(
        path,
        backbones=np.array(completion.matrix.backbones),
        heads=np.array(completion.matrix.heads),
        mean=np.float64(model.mean),
        backbone_factors=model.row_factors,
        head_factors=model.column_factors,
        backbone_biases=model.row_biases,
        head_biases=model.column_biases,
        losses=np.array(model.losses),
        quality=completion.matrix.values,
    )
