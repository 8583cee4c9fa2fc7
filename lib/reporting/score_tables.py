"""Tables of scores in the terminal: what was completed, how completers compare, new rows, what to evaluate next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table

from lib.performance_prediction.rows.evaluate import RowEvaluationReport
from lib.performance_prediction.rows.files import RowSuggestions
from lib.performance_prediction.table.complete import CompletedTable
from lib.performance_prediction.table.evaluate import MEASURES, CellScores, EvaluationReport
from lib.performance_prediction.table.score_table import COMPLETERS

FEWEST_CHARACTERS = 118  # a line of the table, which is worth nothing when cut
KNOWN_HEADS = (
    "known cells",
    "MAE",
    "column mean + level",
    "coverage",
    "mean width",
    "worst tenth",
    "9 in 10 rows ≥",
)
REGRET_HEADS = ("evaluated", "regret as suggested", "static portfolio", "best on average")
DIGITS = {"mae": 4, "spearman": 3, "coverage": 3, "width": 3, "seconds": 1}


def tell(sentence: str) -> None:
    """Progress and warnings: on standard error, so that results can be piped."""
    click.echo(sentence, err=True)


def _show(headings: Sequence[str], rows: Iterable[Sequence[str]], left: int = 0, title: str = "") -> None:
    """Prints a table wide enough for its numbers; the first `left` columns to the left, which may fold."""
    console = Console()
    console.width = max(console.width, FEWEST_CHARACTERS)
    table = Table(title=title or None, box=box.SIMPLE)
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="left" if place < left else "right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def completion_json(
    done: CompletedTable, matrix: Path, out: Path, seed: int, warnings: Sequence[str]
) -> dict[str, Any]:
    """What `als.py complete` did in plain values; `held_out_error`: on measured cells hidden from the model, null if none."""
    n_rows, n_columns = done.table.values.shape
    measured = int(done.table.observed.sum())
    return {
        "matrix": matrix,
        "out": out,
        "rows": n_rows,
        "columns": n_columns,
        "measured": measured,
        "completed": n_rows * n_columns - measured,
        "completer": done.completer,
        "seed": seed,
        "held_out_error": done.held_out_error,
        "calibration_cells": done.calibration.cells,
        "nominal_coverage": done.calibration.level,
        "mean_interval_width": done.mean_width,
        "warnings": warnings,
        "seconds": round(done.seconds, 2),
    }


def sentences(done: CompletedTable, out: Path) -> list[str]:
    """What `als.py complete` did, one line each."""
    (n_rows, n_columns), measured = done.table.values.shape, int(done.table.observed.sum())
    holes = n_rows * n_columns - measured
    size = f"{n_rows} × {n_columns}: {measured} cells measured, {holes} completed in {done.seconds:.1f} s"
    if done.mean_width is None:
        return [size, "every cell is measured: copied as it is", str(out)]
    error = "too few cells to hide any: neither the numbers nor the intervals could be checked"
    if done.held_out_error is not None:
        error = f"mean absolute error on measured cells while hidden: {done.held_out_error:.4f} ({done.calibration.cells} cells)"
    width = f"{done.calibration.level:.0%} intervals, {done.mean_width:.3f} wide on average"
    return [size, f"by {done.completer}", error, width, str(out)]


def described_completers() -> list[str]:
    """One line a completer: its name and the first line of its docstring."""
    names = COMPLETERS.names()
    width = max(map(len, names))
    return [f"{name:{width}}  {(COMPLETERS[name].__doc__ or '').splitlines()[0]}" for name in names]


def show_scores(scores: CellScores) -> None:
    """One line of progress of `als.py evaluate`."""
    place = f"{scores.table} {scores.fraction:.0%} hidden, seed {scores.seed}, {scores.completer}"
    tell(f"{place}: {scores.mae:.4f} in {scores.seconds:.1f} s")


def show_report(report: EvaluationReport) -> None:
    """Prints one table a matrix: a line a completer and fraction, mean ± standard deviation over seeds."""
    for name in dict.fromkeys(line["table"] for line in report.summary):
        rows = [
            (f"{line['fraction']:.0%}", line["completer"], *(_shown(line[m], DIGITS[m]) for m in MEASURES))
            for line in report.summary
            if line["table"] == name
        ]
        _show(("hidden", "completer", "MAE", *(m.capitalize() for m in MEASURES[1:])), rows, 7, name)


def _shown(spread: Mapping[str, float | None], digits: int) -> str:
    mean, deviation = spread.values()
    return "–" if mean is None else f"{mean:.{digits}f} ± {deviation:.{digits}f}"


def suggestions_json(answer: RowSuggestions) -> dict[str, Any]:
    """The answer of `als.py suggest` in plain values. Regrets: expected distance from the best of all columns."""
    found = answer.found
    return {
        "row": answer.row,
        "measured": answer.measured,
        "unmeasured": answer.unmeasured,
        "best_measured": found.incumbent,
        "expected_regret_before": found.regret_before,
        "expected_regret_after": found.regret_after,
        "suggestions": [{k: v for k, v in vars(s).items() if k != "index"} for s in found.suggestions],
        "warnings": answer.warnings,
    }


def show_suggestions(answer: RowSuggestions) -> None:
    """The evaluations in order, and what they are expected to bring."""
    for warning in answer.warnings:
        tell(f"warning: {warning}")
    found = answer.found
    if not found.suggestions:
        click.echo(f"every column of row '{answer.row}' is measured; best: {found.incumbent:.4f}")
        return
    best = "nothing measured yet" if found.incumbent is None else f"best {found.incumbent:.4f}"
    click.echo(f"row '{answer.row}': {answer.measured} cells measured, {best}")
    rows = [
        (s.column, str(number), f"{s.predicted:.4f}", f"{s.low:.3f} – {s.high:.3f}", f"{s.expected_best:.4f}", f"{s.cost:g}")
        for number, s in enumerate(found.suggestions, start=1)
    ]  # fmt: skip
    _show(("column", "", "predicted", "90 % interval", "expected best so far", "cost"), rows, 1)
    distance = "expected distance from the best of all columns"
    if found.incumbent is not None:
        click.echo(f"{distance} before: {found.regret_before:.4f}")
    click.echo(f"{distance} afterwards: {found.regret_after:.4f}")


def show_row_evaluation(report: RowEvaluationReport) -> None:
    """Two tables for each matrix: cells by number of known ones, and regret by number of evaluations."""
    for name, evaluation in report.tables.items():
        click.echo(
            f"{name}: {evaluation.rows} rows in {evaluation.groups} groups, shuffled {evaluation.seeds} times"
        )
        _show_figures(KNOWN_HEADS, evaluation.known_cells, "443333")
        _show_figures(REGRET_HEADS, evaluation.suggestions, "444")


def _show_figures(heads: Sequence[str], lines: Sequence[Any], digits: str) -> None:
    """Each line's first field as it is, the others with so many `digits`."""
    told = [tuple(vars(line).values()) for line in lines]
    _show(
        heads,
        [(str(first), *(f"{v:.{d}f}" for v, d in zip(rest, digits, strict=True))) for first, *rest in told],
    )
