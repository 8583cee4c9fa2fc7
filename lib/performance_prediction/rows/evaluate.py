"""How good predictions of whole new rows are: error, coverage, regret and suggestions, judged by leaving groups of rows out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lib.errors import TooLittleDataError
from lib.performance_prediction.completers.means import column_means
from lib.performance_prediction.rows.files import relatives_by_name
from lib.performance_prediction.rows.model import NewRowModel
from lib.performance_prediction.rows.prior import grouped_folds
from lib.performance_prediction.rows.suggest import asked_path, best_portfolio_steps, greedy_portfolio
from lib.performance_prediction.table.circumstances import circumstances
from lib.performance_prediction.table.score_csv import features_beside, read_score_table
from lib.performance_prediction.table.score_table import Floats, Ints, ScoreTable

if TYPE_CHECKING:
    import pandas as pd

KNOWN = (0, 1, 3, 5, 10)
BUDGETS = (1, 3, 5, 11, 21)
RIVALS = ("static_portfolio", "best_averages")
_FOLDS = 10


@dataclass(frozen=True)
class KnownCells:
    """New rows with `known` random cells measured, judged on their other measured cells; every row weighs the same.

    `rival_mae`: column means moved by the mean surprise at the known cells. `worst_decile_coverage`: mean coverage of the tenth of
    rows covered worst; `tenth_percentile_coverage`: nine rows in ten are covered at least so well.
    """

    known: int
    mae: float
    rival_mae: float
    coverage: float
    width: float
    worst_decile_coverage: float
    tenth_percentile_coverage: float


@dataclass(frozen=True)
class EvaluatedColumns:
    """Mean regret after `budget` evaluations: as suggested after each, and by RIVALS, that do not look at what was found."""

    budget: int
    suggested: float
    static_portfolio: float
    best_averages: float


@dataclass(frozen=True)
class RowEvaluation:
    """One table's figures, each over rows with cells enough; `portfolio_steps`: evaluations that followed the portfolio, by fold."""

    rows: int
    groups: int
    seeds: int
    known_cells: tuple[KnownCells, ...]
    suggestions: tuple[EvaluatedColumns, ...]
    portfolio_steps: tuple[int, ...]


@dataclass(frozen=True)
class RowEvaluationReport:
    """Everything `als.py evaluate-rows` found, table by table."""

    circumstances: dict[str, Any]
    protocol: str
    tables: dict[str, RowEvaluation]


@dataclass(frozen=True)
class _LeftOutRow:
    """One row left out, the model that has not seen it or its relatives, and the means of the columns it was learnt from."""

    row: int
    model: NewRowModel
    steps: int
    truth: Floats
    features: pd.DataFrame | None
    averages: Floats


def evaluate_row_files(
    matrices: Sequence[Path],
    seeds: int,
    with_features: bool,
    on_fold: Callable[[str, int, int], None] = lambda table, done, of: None,
    tell: Callable[[str], None] = lambda sentence: None,
) -> RowEvaluationReport:
    """Each table by leaving rows out; features are taken from NAME.features.csv beside NAME.csv where that exists."""
    tables = {}
    for matrix in matrices:
        read = read_score_table(matrix, features_beside(matrix)[0] if with_features else None)
        for warning in read.warnings:
            tell(f"warning: {warning}")
        groups = relatives_by_name(read.table.rows)
        tables[matrix.stem] = evaluate_rows(read.table, groups, seeds, on_fold=partial(on_fold, matrix.stem))
    protocol = (
        "ten folds over groups of rows (names alike up to '@'), k random cells of a held-out row known, judged on its others; "
        "regret: best score of the row minus the best evaluated"
    )
    return RowEvaluationReport(circumstances(), protocol, tables)


def evaluate_rows(
    table: ScoreTable,
    groups: Sequence[str] | None = None,
    seeds: int = 1,
    reveals: int = 3,
    on_fold: Callable[[int, int], None] = lambda done, total: None,
) -> RowEvaluation:
    """Ten folds over groups of rows, for each of `seeds` shuffles; every held-out row is shown `reveals` times for each k > 0.

    Raises TooLittleDataError when there are fewer than three groups of rows with a value.
    """
    names = list(groups) if groups is not None else range(len(table.rows))
    own = np.unique(names, return_inverse=True)[1]
    some = table.observed.any(axis=1)
    if len(np.unique(own[some])) < 3:
        raise TooLittleDataError("rows can only be left out of a table with at least three groups of rows")
    cells: list[tuple[int, int, Floats]] = []
    paths, steps = [], []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        folds = grouped_folds(own, _FOLDS, seed)
        for number, fold in enumerate(folds, start=1):
            left_out = _left_out_rows(table, own, fold, seed)
            for row in left_out:
                cells.extend(_judged_cells(row, reveals, rng))
                paths.append(_regret_paths(row))
            steps += [row.steps for row in left_out[:1]]
            on_fold(number, len(folds))
    return RowEvaluation(
        rows=int(some.sum()),
        groups=len(np.unique(own[some])),
        seeds=seeds,
        known_cells=tuple(_summary(known, cells) for known in KNOWN if any(k == known for k, _, _ in cells)),
        suggestions=_summaries(np.array(paths)),
        portfolio_steps=tuple(steps),
    )


def _left_out_rows(table: ScoreTable, groups: Ints, fold: Ints, seed: int) -> list[_LeftOutRow]:
    kept = np.setdiff1d(np.arange(len(groups)), fold)
    training = table.of_rows(kept)
    model = NewRowModel.fit(training, [str(group) for group in groups[kept]], seed)
    steps, averages = best_portfolio_steps(model, seed), column_means(training.values)
    return [
        _LeftOutRow(row, model, steps, table.values[row], table.of_rows([row]).row_features, averages)
        for row in fold[table.observed[fold].any(axis=1)].tolist()
    ]


def _judged_cells(
    left_out: _LeftOutRow, reveals: int, rng: np.random.Generator
) -> Iterator[tuple[int, int, Floats]]:
    """(known, row, [error, rival's error, coverage, width]) of one row for each number of known cells."""
    measured, means = np.flatnonzero(np.isfinite(left_out.truth)), left_out.averages
    for known in KNOWN:
        for _ in range(reveals if known else 1):
            shown, hidden = np.split(rng.permutation(measured), [known])
            if len(hidden) == 0:
                continue
            values = np.full(len(left_out.truth), np.nan)
            values[shown] = left_out.truth[shown]
            told, truth = left_out.model.predict(values, left_out.features), left_out.truth[hidden]
            low, high = told.low[hidden], told.high[hidden]
            rival = means[hidden] + (float((values[shown] - means[shown]).mean()) if known else 0.0)
            figures = (
                np.abs(told.mean[hidden] - truth).mean(),
                np.abs(np.clip(rival, 0.0, 1.0) - truth).mean(),
                ((low <= truth) & (truth <= high)).mean(),
                (high - low).mean(),
            )
            yield known, left_out.row, np.array(figures)


def _regret_paths(left_out: _LeftOutRow) -> Floats:
    """Regret after 1, 2, … evaluations, (1 + n_rivals, n): asking after each one, and each of RIVALS."""
    truth, training = left_out.truth, left_out.model.training
    barred = np.flatnonzero(np.isnan(truth)).tolist()
    most = min(BUDGETS[-1], len(truth) - len(barred))
    scenarios = partial(left_out.model.scenarios, features=left_out.features)
    asked = asked_path(scenarios, truth, most, left_out.steps)
    static = greedy_portfolio(training.scale.backward(training.filled), most, excluded=barred)
    average = np.argsort(-np.where(np.isfinite(truth), left_out.averages, -np.inf))[:most].tolist()
    regrets = np.full((1 + len(RIVALS), BUDGETS[-1]), np.nan)
    for line, order in enumerate((asked, static, average)):
        regrets[line, :most] = np.nanmax(truth) - np.maximum.accumulate(truth[order])
    return regrets


def _summary(known: int, cells: list[tuple[int, int, Floats]]) -> KnownCells:
    rows = np.array([row for k, row, _ in cells if k == known])
    figures = np.array([figure for k, _, figure in cells if k == known])
    by_row = np.sort([figures[rows == row, 2].mean() for row in np.unique(rows)])
    mae, rival, coverage, width = figures.mean(0).tolist()
    worst = float(by_row[: max(1, round(len(by_row) / 10))].mean())
    return KnownCells(known, mae, rival, coverage, width, worst, float(np.quantile(by_row, 0.1)))


def _summaries(paths: Floats) -> tuple[EvaluatedColumns, ...]:
    return tuple(
        EvaluatedColumns(budget, *np.nanmean(paths[:, :, budget - 1], axis=0).tolist())
        for budget in BUDGETS
        if np.isfinite(paths[:, :, budget - 1]).any()
    )
