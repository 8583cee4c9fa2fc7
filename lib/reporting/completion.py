"""Completing a CSV file from the command line: progress on standard error, the file, and a summary in numbers and words."""

from __future__ import annotations

import math
from pathlib import Path

import click
import numpy as np
from pydantic import BaseModel, ConfigDict

from lib.performance_prediction import completers  # noqa: F401  (registers the completers)
from lib.performance_prediction.table.complete import CompletedTable, complete
from lib.performance_prediction.table.score_csv import read_score_table, refuse_unwritable, write_completed
from lib.performance_prediction.table.score_table import COMPLETERS


class CompletionSummary(BaseModel):
    """What `als.py complete` did. `held_out_error`: mean absolute error on measured cells hidden from the model; null if none."""

    model_config = ConfigDict(frozen=True)

    matrix: str
    out: str
    rows: int
    columns: int
    measured: int
    completed: int
    completer: str
    members: dict[str, float]
    seed: int
    held_out_error: float | None
    calibration_cells: int
    nominal_coverage: float
    mean_interval_width: float | None
    warnings: tuple[str, ...]
    seconds: float


def complete_file(
    matrix: Path, features: Path | None, column_features: Path | None, completer: str, seed: int, out: Path
) -> CompletionSummary:
    """Reads, completes and writes; raises what reading, completing and writing raise (CvAutomlError with the place)."""
    COMPLETERS[completer]
    refuse_unwritable(out)
    read = read_score_table(matrix, features, column_features)
    for warning in read.warnings:
        click.echo(f"warning: {warning}", err=True)
    done = complete(read.table, completer, seed, _show_progress)
    write_completed(out, done.table, done.mean, done.low, done.high)
    return _summary(matrix, out, completer, seed, done, read.warnings)


def _show_progress(done: int, of: int) -> None:
    click.echo(f"checking on hidden cells: {done} of {of}", err=True)


def _summary(
    matrix: Path, out: Path, completer: str, seed: int, done: CompletedTable, warnings: tuple[str, ...]
) -> CompletionSummary:
    observed = done.table.observed
    missing = ~observed
    return CompletionSummary(
        matrix=str(matrix),
        out=str(out),
        rows=len(done.table.rows),
        columns=len(done.table.columns),
        measured=int(observed.sum()),
        completed=int(missing.sum()),
        completer=completer,
        members={name: round(weight, 4) for name, weight in done.used.items()},
        seed=seed,
        held_out_error=None if math.isnan(done.held_out_error) else done.held_out_error,
        calibration_cells=done.calibration.cells,
        nominal_coverage=done.calibration.level,
        mean_interval_width=float(np.mean((done.high - done.low)[missing])) if missing.any() else None,
        warnings=warnings,
        seconds=round(done.seconds, 2),
    )


def sentences(summary: CompletionSummary) -> list[str]:
    """The summary in words, one line each."""
    lines = [
        f"{summary.rows} × {summary.columns}: {summary.measured} cells measured, {summary.completed} completed in {summary.seconds:.1f} s"
    ]
    if not summary.completed:
        lines.append("every cell is measured: copied as it is")
        return [*lines, summary.out]
    lines.append("by " + ", ".join(f"{name} ({weight:.2f})" for name, weight in summary.members.items()))
    if summary.held_out_error is None:
        lines.append("too few cells to hide any: neither the numbers nor the intervals could be checked")
    else:
        lines.append(
            f"mean absolute error on measured cells while hidden: {summary.held_out_error:.4f} "
            f"({summary.calibration_cells} cells)"
        )
    lines.append(
        f"{summary.nominal_coverage:.0%} intervals, {summary.mean_interval_width:.3f} wide on average"
    )
    return [*lines, summary.out]


def described_completers() -> list[str]:
    """One line a completer: its name and the first line of its docstring."""
    names = COMPLETERS.names()
    width = max(map(len, names))
    return [f"{name:{width}}  {(COMPLETERS[name].__doc__ or '').splitlines()[0]}" for name in names]
