"""`als.py suggest` and `als.py evaluate-rows`: read tables, ask the model of new rows, show the answer and write it as JSON."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click
import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict
from rich import box
from rich.console import Console
from rich.table import Table

from lib.performance_prediction.rows.evaluate import RowEvaluation, evaluate_rows
from lib.performance_prediction.rows.files import position_of, read_costs, relatives_by_name, without_row
from lib.performance_prediction.rows.model import NewRowModel
from lib.performance_prediction.rows.suggest import Plan, suggest
from lib.performance_prediction.table.score_csv import read_score_table, write_whole
from lib.performance_prediction.table.score_table import ScoreTable
from lib.reporting.completion_evaluation import Circumstances, circumstances

FEWEST_CHARACTERS = 118


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class SuggestedColumn(_Frozen):
    """One evaluation to make; scores in [0, 1]."""

    column: str
    predicted: float
    low: float
    high: float
    expected_best: float
    cost: float


class SuggestionReport(_Frozen):
    """What `als.py suggest` found. Regrets: expected distance from the best of all columns, before and after the evaluations."""

    row: str
    measured: int
    unmeasured: int
    best_measured: float | None
    expected_regret_before: float
    expected_regret_after: float
    suggestions: tuple[SuggestedColumn, ...]
    warnings: tuple[str, ...]


class RowEvaluationReport(_Frozen):
    """Everything `als.py evaluate-rows` found, table by table."""

    circumstances: Circumstances
    protocol: str
    tables: dict[str, RowEvaluation]


def suggest_from_file(
    matrix: Path, row: str, features: Path | None, costs: Path | None, count: int, seed: int
) -> SuggestionReport:
    """Learns from all other rows of the file what to evaluate next on `row`; raises what reading raises, with the place."""
    read = read_score_table(matrix, features)
    table = read.table
    place = position_of("row", row, table.rows)
    spent = None if costs is None else read_costs(costs, table.columns)
    others = without_row(table, place)
    model = NewRowModel.fit(others, relatives_by_name(others.rows), seed)
    plan = suggest(model, table.values[place], spent, count, _line(table, place))
    return _report(row, table, place, plan, read.warnings)


def _line(table: ScoreTable, row: int) -> pd.DataFrame | None:
    return None if table.row_features is None else table.row_features.iloc[[row]]


def _report(
    row: str, table: ScoreTable, place: int, plan: Plan, warnings: tuple[str, ...]
) -> SuggestionReport:
    measured = int(np.isfinite(table.values[place]).sum())
    return SuggestionReport(
        row=row,
        measured=measured,
        unmeasured=len(table.columns) - measured,
        best_measured=plan.incumbent,
        expected_regret_before=plan.regret_before,
        expected_regret_after=plan.regret_after,
        suggestions=tuple(
            SuggestedColumn(
                column=s.column,
                predicted=s.predicted,
                low=s.low,
                high=s.high,
                expected_best=s.expected_best,
                cost=s.cost,
            )
            for s in plan.suggestions
        ),
        warnings=warnings,
    )


def show_suggestions(report: SuggestionReport) -> None:
    """The evaluations in order, and what they are expected to bring."""
    for warning in report.warnings:
        click.echo(f"warning: {warning}", err=True)
    if not report.suggestions:
        click.echo(f"every column of row '{report.row}' is measured; best: {report.best_measured:.4f}")
        return
    best = "nothing measured yet" if report.best_measured is None else f"best {report.best_measured:.4f}"
    click.echo(f"row '{report.row}': {report.measured} cells measured, {best}")
    table = Table(box=box.SIMPLE)
    for name in ("", "column", "predicted", "90 % interval", "expected best so far", "cost"):
        table.add_column(name, justify="left" if name == "column" else "right", overflow="fold")
    for number, s in enumerate(report.suggestions, start=1):
        interval = f"{s.low:.3f} – {s.high:.3f}"
        table.add_row(
            str(number), s.column, f"{s.predicted:.4f}", interval, f"{s.expected_best:.4f}", f"{s.cost:g}"
        )
    _console().print(table)
    if report.best_measured is not None:
        click.echo(
            f"expected distance from the best of all columns before: {report.expected_regret_before:.4f}"
        )
    click.echo(
        f"expected distance from the best of all columns afterwards: {report.expected_regret_after:.4f}"
    )


def evaluate_row_files(matrices: list[Path], seeds: int, with_features: bool) -> RowEvaluationReport:
    """Each table by leaving rows out; features are taken from NAME.features.csv beside NAME.csv where that exists."""
    tables = {}
    for matrix in matrices:
        beside = matrix.with_name(f"{matrix.stem}.features.csv")
        read = read_score_table(matrix, beside if with_features and beside.exists() else None)
        for warning in read.warnings:
            click.echo(f"warning: {warning}", err=True)
        tables[matrix.stem] = evaluate_rows(
            read.table, relatives_by_name(read.table.rows), seeds, on_fold=partial(_show_fold, matrix.stem)
        )
    protocol = (
        "ten folds over groups of rows (names alike up to '@'), k random cells of a held-out row known, judged on its others; "
        "regret: best score of the row minus the best evaluated"
    )
    return RowEvaluationReport(circumstances=circumstances(), protocol=protocol, tables=tables)


def _show_fold(table: str, done: int, total: int) -> None:
    click.echo(f"{table}: fold {done} of {total}", err=True)


def show_row_evaluation(report: RowEvaluationReport) -> None:
    """Two tables for each matrix: cells by number of known ones, and regret by number of evaluations."""
    for name, evaluation in report.tables.items():
        click.echo(
            f"{name}: {evaluation.rows} rows in {evaluation.groups} groups, shuffled {evaluation.seeds} times"
        )
        _console().print(_cells_table(evaluation))
        _console().print(_regret_table(evaluation))


def _cells_table(evaluation: RowEvaluation) -> Table:
    table = Table(box=box.SIMPLE)
    heads = (
        "known cells",
        "MAE",
        "column mean + level",
        "coverage",
        "mean width",
        "worst tenth",
        "9 in 10 rows ≥",
    )
    for head in heads:
        table.add_column(head, justify="right")
    for k in evaluation.known_cells:
        figures = (k.coverage, k.width, k.worst_decile_coverage, k.tenth_percentile_coverage)
        table.add_row(str(k.known), f"{k.mae:.4f}", f"{k.rival_mae:.4f}", *(f"{f:.3f}" for f in figures))
    return table


def _regret_table(evaluation: RowEvaluation) -> Table:
    table = Table(box=box.SIMPLE)
    for head in ("regret of", "mean"):
        table.add_column(head, justify="left" if head != "mean" else "right")
    regrets = evaluation.regrets
    table.add_row("first choice, nothing known", f"{regrets.top1:.4f}")
    table.add_row("best on average", f"{regrets.best_on_average:.4f}")
    table.add_row("three that complement each other", f"{regrets.portfolio3:.4f}")
    table.add_row("three highest on average", f"{regrets.three_highest_averages:.4f}")
    table.add_row("three highest predictions", f"{regrets.three_highest_predictions:.4f}")
    for s in evaluation.suggestions:
        table.add_row(
            f"after {s.budget} suggested evaluations (static portfolio: {s.static_portfolio:.4f})",
            f"{s.suggested:.4f}",
        )
    return table


def _console() -> Console:
    console = Console()
    console.width = max(console.width, FEWEST_CHARACTERS)
    return console


def write_row_evaluation(path: Path, report: RowEvaluationReport) -> None:
    """The report as JSON; the file appears whole or not at all."""
    write_whole(path, report.model_dump_json(indent=2) + "\n")
