"""How good predictions of whole new rows are: error, coverage, regret and suggestions, judged by leaving groups of rows out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from lib.errors import TooLittleDataError
from lib.performance_prediction.rows.model import NewRowModel
from lib.performance_prediction.rows.portfolio import greedy_portfolio
from lib.performance_prediction.rows.prior import Ints, grouped_folds
from lib.performance_prediction.rows.suggest import choose_columns
from lib.performance_prediction.table.score_table import Floats, ScoreTable

KNOWN = (0, 1, 3, 5, 10)
BUDGETS = (1, 3, 5, 11, 21)
_FOLDS = 10


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class KnownCells(_Frozen):
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


class Regrets(_Frozen):
    """Mean regret with nothing measured: best score of the row minus the best among the columns picked."""

    top1: float
    best_on_average: float
    portfolio3: float
    three_highest_averages: float
    three_highest_predictions: float


class Suggestions(_Frozen):
    """Mean regret of the best column evaluated after `budget` evaluations: asked after each, and as one static greedy portfolio."""

    budget: int
    suggested: float
    static_portfolio: float


class RowEvaluation(_Frozen):
    """All of it for one table; rows whose measured cells do not suffice for a figure are left out of that figure."""

    rows: int
    groups: int
    seeds: int
    known_cells: tuple[KnownCells, ...]
    regrets: Regrets
    suggestions: tuple[Suggestions, ...]


@dataclass(frozen=True)
class _HeldOut:
    """One row left out, the model that has not seen it or its relatives, and the rows it was learnt from."""

    row: int
    model: NewRowModel
    truth: Floats
    features: pd.DataFrame | None
    training: Floats


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
    own = np.unique(list(groups) if groups is not None else np.arange(len(table.rows)), return_inverse=True)[
        1
    ]
    some = table.observed.any(axis=1)
    if len(np.unique(own[some])) < 3:
        raise TooLittleDataError("rows can only be left out of a table with at least three groups of rows")
    cells: list[tuple[int, int, Floats]] = []
    regrets: list[Floats] = []
    paths: list[Floats] = []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        for held_out in _held_out_rows(table, own, seed, on_fold):
            cells.extend(_judged_cells(held_out, reveals, rng))
            regrets.append(_regrets(held_out))
            paths.append(_suggested_regrets(held_out))
    first = np.nanmean(np.array(regrets), axis=0)
    return RowEvaluation(
        rows=int(some.sum()),
        groups=len(np.unique(own[some])),
        seeds=seeds,
        known_cells=tuple(_summary(known, cells) for known in KNOWN if any(k == known for k, _, _ in cells)),
        regrets=Regrets(**dict(zip(Regrets.model_fields, first.tolist(), strict=True))),
        suggestions=_summaries(paths),
    )


def _held_out_rows(
    table: ScoreTable, groups: Ints, seed: int, on_fold: Callable[[int, int], None]
) -> Iterator[_HeldOut]:
    folds = grouped_folds(groups, _FOLDS, seed)
    for number, fold in enumerate(folds):
        kept = np.setdiff1d(np.arange(len(groups)), fold)
        features = table.row_features
        training = ScoreTable(
            tuple(table.rows[i] for i in kept),
            table.columns,
            table.values[kept],
            None if features is None else features.iloc[kept],
            table.column_features,
        )
        model = NewRowModel.fit(training, [str(group) for group in groups[kept]], seed)
        for row in fold:
            if np.isfinite(table.values[row]).any():
                line = None if features is None else features.iloc[[row]]
                yield _HeldOut(int(row), model, table.values[row], line, table.values[kept])
        on_fold(number + 1, len(folds))


def _judged_cells(
    held_out: _HeldOut, reveals: int, rng: np.random.Generator
) -> Iterator[tuple[int, int, Floats]]:
    """(known, row, [error, rival's error, coverage, width]) of one row for each number of known cells."""
    measured = np.flatnonzero(np.isfinite(held_out.truth))
    means = _column_means(held_out.training)
    for known in KNOWN:
        for _ in range(reveals if known else 1):
            shown, hidden = np.split(rng.permutation(measured), [known])
            if len(hidden) == 0:
                continue
            values = np.full(len(held_out.truth), np.nan)
            values[shown] = held_out.truth[shown]
            row, truth = held_out.model.predict(values, held_out.features), held_out.truth[hidden]
            shift = float((values[shown] - means[shown]).mean()) if known else 0.0
            rival = np.clip(means[hidden] + shift, 0.0, 1.0)
            inside = (row.low[hidden] <= truth) & (truth <= row.high[hidden])
            figures = [
                np.abs(row.mean[hidden] - truth).mean(),
                np.abs(rival - truth).mean(),
                inside.mean(),
                (row.high - row.low)[hidden].mean(),
            ]
            yield known, held_out.row, np.array(figures)


def _column_means(training: Floats) -> Floats:
    """Mean of each column (n_columns,), that of all cells where a column has none."""
    observed = np.isfinite(training)
    sums = np.where(observed, training, 0.0).sum(0)
    return np.where(observed.any(0), sums / np.maximum(observed.sum(0), 1), np.nanmean(training))


def _regrets(held_out: _HeldOut) -> Floats:
    """Regret of each field of Regrets, (5,), among the columns measured for the row."""
    truth = held_out.truth
    measured = np.isfinite(truth)
    nothing = np.full(len(truth), np.nan)
    barred = np.flatnonzero(~measured).tolist()
    scenarios = held_out.model.scenarios(nothing, held_out.features)
    portfolio = choose_columns(scenarios, nothing, 3, excluded=barred)
    predicted = np.where(measured, scenarios.weights @ scenarios.values, -np.inf)
    average = np.where(measured, _column_means(held_out.training), -np.inf)
    by_average, by_prediction = (np.argsort(-scores)[:3].tolist() for scores in (average, predicted))
    picks = [portfolio[:1], by_average[:1], portfolio, by_average, by_prediction]
    best = np.nanmax(truth)
    return np.array([best - np.nanmax(truth[pick]) for pick in picks])


def _suggested_regrets(held_out: _HeldOut) -> Floats:
    """Regret after 1, 2, … evaluations, (2, n): asking after each one, and following a static portfolio."""
    truth = held_out.truth
    barred = np.flatnonzero(~np.isfinite(truth)).tolist()
    most = min(BUDGETS[-1], len(truth) - len(barred))
    values = np.full(len(truth), np.nan)
    asked: list[int] = []
    for _ in range(most):
        scenarios = held_out.model.scenarios(values, held_out.features)
        asked += choose_columns(scenarios, values, 1, excluded=barred)
        values[asked[-1]] = truth[asked[-1]]
    training = held_out.model.training
    static = greedy_portfolio(training.scale.backward(training.filled), most, excluded=barred)
    best = np.nanmax(truth)
    regrets = np.full((2, BUDGETS[-1]), np.nan)
    for line, order in enumerate((asked, static)):
        regrets[line, :most] = best - np.maximum.accumulate(truth[order])
    return regrets


def _summary(known: int, cells: list[tuple[int, int, Floats]]) -> KnownCells:
    rows = np.array([row for k, row, _ in cells if k == known])
    figures = np.array([figure for k, _, figure in cells if k == known])
    mae, rival, coverage, width = figures.mean(0)
    by_row = np.sort([figures[rows == row, 2].mean() for row in np.unique(rows)])
    return KnownCells(
        known=known,
        mae=mae,
        rival_mae=rival,
        coverage=coverage,
        width=width,
        worst_decile_coverage=by_row[: max(1, round(len(by_row) / 10))].mean(),
        tenth_percentile_coverage=float(np.quantile(by_row, 0.1)),
    )


def _summaries(paths: list[Floats]) -> tuple[Suggestions, ...]:
    stacked = np.array(paths)
    return tuple(
        Suggestions(budget=budget, suggested=means[0], static_portfolio=means[1])
        for budget in BUDGETS
        if np.isfinite(stacked[:, :, budget - 1]).any()
        for means in [np.nanmean(stacked[:, :, budget - 1], axis=0)]
    )
