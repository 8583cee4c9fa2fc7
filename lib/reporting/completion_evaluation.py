"""`als.py evaluate`: reads tables, scores completers on hidden cells, shows the table and writes it as JSON."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import click
from pydantic import BaseModel, ConfigDict
from rich import box
from rich.console import Console
from rich.table import Table

from lib.config import PROJECT_ROOT
from lib.errors import MatrixError
from lib.performance_prediction import completers  # noqa: F401  (registers the completers)
from lib.performance_prediction.table.evaluate import (
    CellScores,
    EvaluationPlan,
    Spread,
    SummaryLine,
    evaluate,
    summarise,
)
from lib.performance_prediction.table.score_csv import read_score_table, write_whole
from lib.performance_prediction.table.score_table import COMPLETERS

FEWEST_CHARACTERS = 118  # a line of the table, which is worth nothing when cut
LIBRARIES = ("numpy", "scipy", "implicit", "catboost")


class Circumstances(BaseModel):
    """Where and when numbers were measured."""

    model_config = ConfigDict(frozen=True)

    date: str
    commit: str
    processor: str
    python: str
    libraries: dict[str, str]


class EvaluationReport(BaseModel):
    """Everything `als.py evaluate` found: a line a completer, and the scores behind it."""

    model_config = ConfigDict(frozen=True)

    circumstances: Circumstances
    protocol: str
    summary: tuple[SummaryLine, ...]
    scores: tuple[CellScores, ...]


def circumstances() -> Circumstances:
    """Date, commit and machine of this moment; the commit ends in "+" when the working tree differs from it."""
    commit = _git("rev-parse", "--short", "HEAD") or "unknown"
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", "lib/performance_prediction")
    return Circumstances(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=commit + ("+" if changed else ""),
        processor=_processor(),
        python=platform.python_version(),
        libraries={name: version(name) for name in LIBRARIES},
    )


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        return f"{names[0]}, {len(names)} threads"
    except (OSError, IndexError):
        return platform.processor() or platform.machine()


def parse_fractions(text: str) -> tuple[float, ...]:
    """Shares such as "0.3,.5" as numbers in (0, 1); raises MatrixError otherwise."""
    try:
        fractions = tuple(float(part) for part in text.split(","))
    except ValueError:
        fractions = ()
    if not fractions or not all(0 < fraction < 1 for fraction in fractions):
        raise MatrixError(
            f"--fractions {text}: expected shares between 0 and 1, separated by commas, e.g. 0.3,0.5"
        )
    return fractions


def features_beside(matrix: Path) -> tuple[Path | None, Path | None]:
    """`NAME.features.csv`, and `NAME.column_features.csv` or `NAME.model_features.csv`, beside NAME.csv where they exist."""
    rows = matrix.with_suffix(".features.csv")
    columns = [matrix.with_suffix(f".{kind}_features.csv") for kind in ("column", "model")]
    found = [path for path in columns if path.is_file()]
    return rows if rows.is_file() else None, found[0] if found else None


def evaluate_files(
    matrices: Sequence[Path],
    features: Sequence[Path],
    column_features: Sequence[Path],
    with_features: bool,
    plan: EvaluationPlan,
) -> EvaluationReport:
    """Scores `plan` on each matrix; explicit features pair with the matrices by order, else those beside them are used."""
    for name in plan.completers:
        COMPLETERS[name]()
    for given, option in ((features, "--features"), (column_features, "--column-features")):
        if given and len(given) != len(matrices):
            raise MatrixError(
                f"{option} was given {len(given)} times for {len(matrices)} matrices; give it once a matrix"
            )
    origin = circumstances()
    scores: list[CellScores] = []
    for place, matrix in enumerate(matrices):
        beside = features_beside(matrix) if with_features else (None, None)
        of_rows = features[place] if features else beside[0]
        of_columns = column_features[place] if column_features else beside[1]
        read = read_score_table(matrix, of_rows, of_columns)
        for warning in read.warnings:
            click.echo(f"warning: {warning}", err=True)
        scores += evaluate(matrix.stem, read.table, plan, _show_scores)
    protocol = "cells hidden uniformly at random; each completer sees the others only; errors on hidden cells"
    return EvaluationReport(
        circumstances=origin,
        protocol=protocol,
        summary=tuple(summarise(scores)),
        scores=tuple(scores),
    )


def _show_scores(scores: CellScores) -> None:
    click.echo(
        f"{scores.table} {scores.fraction:.0%} hidden, seed {scores.seed}, {scores.completer}: "
        f"{scores.mae:.4f} in {scores.seconds:.1f} s",
        err=True,
    )


def write_report(path: Path, report: EvaluationReport) -> None:
    """Writes the report as JSON, whole or not at all."""
    write_whole(path, report.model_dump_json(indent=1) + "\n")


def show_report(report: EvaluationReport) -> None:
    """Prints one table a matrix: a line a completer and fraction, mean ± standard deviation over seeds."""
    console = Console(width=max(Console().width, FEWEST_CHARACTERS))
    for name in dict.fromkeys(line.table for line in report.summary):
        table = Table(title=name, box=box.SIMPLE)
        for heading in ("hidden", "completer", "MAE", "Spearman", "coverage", "width", "seconds"):
            table.add_column(heading, no_wrap=True)
        for line in (line for line in report.summary if line.table == name):
            table.add_row(
                f"{line.fraction:.0%}",
                line.completer,
                _shown(line.mae, 4),
                _shown(line.spearman, 3),
                _shown(line.coverage, 3),
                _shown(line.width, 3),
                _shown(line.seconds, 1),
            )
        console.print(table)


def _shown(spread: Spread, digits: int) -> str:
    if spread.mean is None or spread.deviation is None:
        return "–"
    return f"{spread.mean:.{digits}f} ± {spread.deviation:.{digits}f}"
