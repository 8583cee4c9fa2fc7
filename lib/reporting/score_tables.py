"""Tables of scores in the terminal: what was completed, how completers compare, new rows, what to evaluate next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table

from lib.performance_prediction.rows.evaluate import RowEvaluation, RowEvaluationReport
from lib.performance_prediction.rows.files import RowSuggestions
from lib.performance_prediction.table.complete import CompletionSummary
from lib.performance_prediction.table.evaluate import MEASURES, CellScores, EvaluationReport, Spread
from lib.performance_prediction.table.score_table import COMPLETERS

FEWEST_CHARACTERS = 118  # a line of the table, which is worth nothing when cut
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


def sentences(summary: CompletionSummary) -> list[str]:
    """What `als.py complete` did, one line each."""
    lines = [
        f"{summary.rows} × {summary.columns}: {summary.measured} cells measured, {summary.completed} completed in {summary.seconds:.1f} s"
    ]
    if not summary.completed:
        return [*lines, "every cell is measured: copied as it is", summary.out]
    lines.append(f"by {summary.completer}")
    if summary.held_out_error is None:
        lines.append("too few cells to hide any: neither the numbers nor the intervals could be checked")
    else:
        lines.append(
            f"mean absolute error on measured cells while hidden: {summary.held_out_error:.4f} "
            f"({summary.calibration_cells} cells)"
        )
    width = f"{summary.mean_interval_width:.3f} wide on average"
    return [*lines, f"{summary.nominal_coverage:.0%} intervals, {width}", summary.out]


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
    for name in dict.fromkeys(line.table for line in report.summary):
        lines = [line for line in report.summary if line.table == name]
        rows = [
            (f"{line.fraction:.0%}", line.completer, *(_shown(getattr(line, m), DIGITS[m]) for m in MEASURES))
            for line in lines
        ]
        _show(("hidden", "completer", "MAE", *(m.capitalize() for m in MEASURES[1:])), rows, 7, name)


def _shown(spread: Spread, digits: int) -> str:
    if spread.mean is None or spread.deviation is None:
        return "–"
    return f"{spread.mean:.{digits}f} ± {spread.deviation:.{digits}f}"


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
        _show_known_cells(evaluation)
        heads = ("evaluated", "regret as suggested", "static portfolio", "best on average")
        rows = [[f"{value:.4f}" for value in vars(s).values()][1:] for s in evaluation.suggestions]
        budgets = [str(s.budget) for s in evaluation.suggestions]
        _show(heads, [(budget, *row) for budget, row in zip(budgets, rows, strict=True)])


def _show_known_cells(evaluation: RowEvaluation) -> None:
    heads = (
        "known cells",
        "MAE",
        "column mean + level",
        "coverage",
        "mean width",
        "worst tenth",
        "9 in 10 rows ≥",
    )
    rows = []
    for k in evaluation.known_cells:
        shares = (k.coverage, k.width, k.worst_decile_coverage, k.tenth_percentile_coverage)
        rows.append(
            (str(k.known), f"{k.mae:.4f}", f"{k.rival_mae:.4f}", *(f"{share:.3f}" for share in shares))
        )
    _show(heads, rows)
