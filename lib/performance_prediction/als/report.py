"""What `als.py train` leaves on disk: factors, the completed matrix, and a report; no pickles."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from lib.files import csv_text, write_atomically, write_npz, writing
from lib.performance_prediction.als.train import ZooCompletion
from lib.performance_prediction.boosting.evidence import Pair
from lib.records.schema import PRIMARY_METRIC

NEAR_TIE = 0.98  # of the best rival's error: nearer than that is no difference worth a claim


def report_of(completion: ZooCompletion) -> dict[str, Any]:
    """All of a completion but its factors in plain values, `cells` row by row; only measured ones have errors."""
    evidence, model = completion.matrix.evidence, completion.course
    return {
        "task": evidence.task,
        "domain": evidence.domain or "all",
        "metric": evidence.metric,
        "epoch": evidence.epoch,
        "data_sets": evidence.data_sets,
        "n_runs": len(evidence.runs),
        "rank": model.rank,
        "regularisation": model.regularisation,
        "losses": model.losses,
        "held_out_mae": dict(completion.held_out_mae),
        "held_out_by_kind": [asdict(one) for one in completion.held_out],
        "n_folds": completion.n_folds,
        "verdict": verdict(completion),
        "notes": [*(one.sentence for one in completion.held_out), *completion.matrix.notes],
        "cells": [_cell(completion, i, j) for i, j in np.ndindex(completion.values.shape)],
    }


def _cell(completion: ZooCompletion, i: int, j: int) -> dict[str, Any]:
    matrix, status = completion.matrix, completion.status(i, j)
    pair = Pair(matrix.backbones[i], matrix.heads[j])

    def number(values: Any) -> float | None:
        return round(float(values[i, j]), 6) if np.isfinite(values[i, j]) else None

    return {
        **pair._asdict(),
        "status": status,
        "value": number(completion.values),
        "low": number(completion.low),
        "high": number(completion.high),
        "n_runs": int(matrix.n_runs[i, j]),
        "n_data_sets": int(matrix.n_data_sets[i, j]),
        "held_out_error": number(completion.held_out_error),
        "training_error": number(completion.training_error),
        "reason": "" if status == "measured" else matrix.incompatible.get(pair, ""),
    }


def verdict(completion: ZooCompletion) -> str:
    """One sentence: whether ALS earns its place beside the trivial rivals."""
    mae, own = completion.held_out_mae, completion.held_out_mae["als"]
    if completion.beaten_by:
        listed = ", ".join(f"{name} ({mae[name]:.4f})" for name in completion.beaten_by)
        return f"ALS does NOT beat {listed}: its held-out error is {own:.4f}; trust those for the holes"
    error, best = min((value, name) for name, value in mae.items() if name != "als")
    if own > NEAR_TIE * error:
        return f"ALS is no better than {best} on held-out cells: {own:.4f} against {error:.4f}"
    return f"ALS beats every rival on held-out cells: {own:.4f} against {error:.4f} of {best}"


def file_stem(completion: ZooCompletion) -> str:
    """Beginning of every file name of this completion, e.g. `classification_medical_epoch10`; another metric is named."""
    evidence = completion.matrix.evidence
    domain = "".join(c if c.isalnum() or c in "-_" else "_" for c in evidence.domain or "all")
    metric = "" if evidence.metric == PRIMARY_METRIC[evidence.task] else f"_{evidence.metric}"
    return f"{evidence.task}{metric}_{domain}_epoch{evidence.epoch}"


def write_completion(completion: ZooCompletion, report: dict[str, Any], folder: Path) -> list[Path]:
    """Writes `<stem>.factors.npz`, `.matrix.csv`, `.report.json` and `.report.md` into `folder`; returns their paths.

    Raises CvAutomlError where the folder cannot be written.
    """
    cells, stem = report["cells"], file_stem(completion)
    texts = {
        folder / f"{stem}.matrix.csv": csv_text([list(cells[0]), *(list(cell.values()) for cell in cells)]),
        folder / f"{stem}.report.json": json.dumps(report, indent=1, ensure_ascii=False) + "\n",
        folder / f"{stem}.report.md": _markdown(report),
    }
    factors = folder / f"{stem}.factors.npz"
    writing(folder, lambda: _write_factors(completion, factors))
    for path, text in texts.items():
        writing(folder, lambda path=path, text=text: write_atomically(path, text))  # type: ignore[misc]
    return [factors, *texts]


def _markdown(report: dict[str, Any]) -> str:
    measured, holes = (
        sum(c["status"] == kind for c in report["cells"]) for kind in ("measured", "completed")
    )
    rivals = sorted(report["held_out_mae"].items(), key=lambda item: item[1])
    lines = [
        f"# Completed quality matrix: {report['task']}, domain {report['domain']}, epoch {report['epoch']}",
        "",
        f"{report['n_runs']} runs on {len(report['data_sets'])} data sets; {measured} pairs measured, {holes} completed. "
        f"Rank {report['rank']}, regularisation {report['regularisation']:g}, final loss {report['losses'][-1]:.4f} (RMSE).",
        "",
        report["verdict"] + ".",
        "",
        *(f"- {note}" for note in report["notes"]),
        "",
        f"| method | held-out error ({report['n_folds']} folds) |",
        "| --- | --- |",
        *(f"| {name} | {mae:.4f} |" for name, mae in rivals),
        "",
        "| backbone | head | status | quality | 90 % interval | runs | data sets | held-out error |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *(_markdown_row(**cell) for cell in report["cells"]),
    ]
    return "\n".join(lines) + "\n"


def _markdown_row(backbone: str, head: str, status: str, value: float | None, **cell: Any) -> str:
    quality, error = ("" if n is None else f"{n:.3f}" for n in (value, cell["held_out_error"]))
    interval = f"{cell['low']:.3f} to {cell['high']:.3f}" if status == "completed" else cell["reason"]
    counts = f"{cell['n_runs']} | {cell['n_data_sets']}"
    return f"| {backbone} | {head} | {status} | {quality} | {interval} | {counts} | {error} |"


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
