"""How good completers are on a table: hide measured cells, complete, compare. The numbers behind `als.py evaluate`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from lib.errors import MatrixError
from lib.performance_prediction.table.circumstances import circumstances
from lib.performance_prediction.table.complete import CompletedTable, complete
from lib.performance_prediction.table.hold_out import random_cells
from lib.performance_prediction.table.score_csv import features_beside, read_score_table
from lib.performance_prediction.table.score_table import COMPLETERS, Bools, Floats, ScoreTable

SEED_OFFSET = 1000  # hiding draws other random numbers than fitting does
FEWEST_FOR_RANKS = 5  # hidden cells a row needs before its rank correlation counts
MEASURES = ("mae", "spearman", "coverage", "width", "seconds")


@dataclass(frozen=True)
class CellScores:
    """One completer on one table with one share hidden under one seed.

    `mae` on hidden cells, `spearman` the mean over rows of the rank correlation on hidden cells (None where every prediction of
    every row is the same), `coverage` and `width` of the 90 % intervals, `seconds` to fit and calibrate.
    """

    table: str
    completer: str
    fraction: float
    seed: int
    mae: float
    spearman: float | None
    coverage: float
    width: float
    seconds: float


@dataclass(frozen=True)
class EvaluationReport:
    """Everything `als.py evaluate` found: the lines of `summarise`, and the scores behind them."""

    circumstances: dict[str, Any]
    protocol: str
    summary: list[dict[str, Any]]
    scores: tuple[CellScores, ...]


@dataclass(frozen=True)
class EvaluationPlan:
    """What to evaluate: `fractions` of the measured cells to hide, `seeds` 0 … n − 1, `completers` by name."""

    fractions: Sequence[float]
    seeds: int
    completers: Sequence[str]


OnScores = Callable[[CellScores], None]


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


def evaluate_files(
    matrices: Sequence[Path],
    features: Sequence[Path],
    column_features: Sequence[Path],
    with_features: bool,
    plan: EvaluationPlan,
    on_scores: OnScores = lambda scores: None,
    tell: Callable[[str], None] = lambda sentence: None,
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
            tell(f"warning: {warning}")
        scores += score_completers(matrix.stem, read.table, plan, on_scores)
    protocol = "cells hidden uniformly at random; each completer sees the others only; errors on hidden cells"
    return EvaluationReport(origin, protocol, summarise(scores), tuple(scores))


def score_completers(
    name: str, table: ScoreTable, plan: EvaluationPlan, on_scores: OnScores = lambda scores: None
) -> list[CellScores]:
    """Scores of each completer, fraction and seed of `plan`; `on_scores` hears each as it comes."""
    results = []
    for fraction, seed in product(plan.fractions, range(plan.seeds)):
        count = round(fraction * int(table.observed.sum()))
        hidden = random_cells(table.observed, count, SEED_OFFSET + seed)
        for completer in plan.completers:
            done = complete(table.hiding(hidden), completer, seed)
            measures = measured_on(done, table.values, hidden)
            results.append(CellScores(name, completer, fraction, seed, **measures))  # type: ignore[arg-type]
            on_scores(results[-1])
    return results


def measured_on(done: CompletedTable, truth: Floats, hidden: Bools) -> dict[str, float | None]:
    """Each of MEASURES of a completion against the `truth` of the `hidden` cells."""
    true, low, high = truth[hidden], done.low[hidden], done.high[hidden]
    return {
        "mae": float(np.abs(done.mean[hidden] - true).mean()),
        "spearman": mean_row_spearman(truth, done.mean, hidden),
        "coverage": float(((true >= low) & (true <= high)).mean()),
        "width": float((high - low).mean()),
        "seconds": done.seconds,
    }


def mean_row_spearman(truth: Floats, told: Floats, cells: Bools) -> float | None:
    """Spearman's rank correlation of `told` with `truth` over the chosen `cells` of each row, averaged over rows.

    Rows with fewer than five such cells, or with the same number everywhere, have none; None when no row has one.
    """
    from scipy.stats import spearmanr

    correlations = [
        spearmanr(row_truth[chosen], row_told[chosen]).statistic
        for row_truth, row_told, chosen in zip(truth, told, cells, strict=True)
        if chosen.sum() >= FEWEST_FOR_RANKS and np.ptp(row_truth[chosen]) > 0 and np.ptp(row_told[chosen]) > 0
    ]
    return float(np.mean(correlations)) if correlations else None


def summarise(results: Sequence[CellScores]) -> list[dict[str, Any]]:
    """A line for each table, completer and fraction, in the order in which they first appear: their names, `seeds`, and of each of
    MEASURES `mean` and `deviation` (standard, over seeds; None where the measure is undefined)."""
    groups: dict[tuple[str, str, float], list[CellScores]] = {}
    for scores in results:
        groups.setdefault((scores.table, scores.completer, scores.fraction), []).append(scores)
    return [
        {
            **dict(zip(("table", "completer", "fraction"), place, strict=True)),
            "seeds": len(group),
            **{measure: _spread([getattr(scores, measure) for scores in group]) for measure in MEASURES},
        }
        for place, group in groups.items()
    ]


def _spread(values: Sequence[float | None]) -> dict[str, float | None]:
    known = [value for value in values if value is not None]
    statistics: dict[str, Callable[[Any], Any]] = {"mean": np.mean, "deviation": np.std}
    return {name: float(of(known)) if known else None for name, of in statistics.items()}
