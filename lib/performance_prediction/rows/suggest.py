"""What to run next on a row: the unmeasured columns with the highest expected gain over the best in hand, per unit of cost."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lib.errors import MatrixError
from lib.performance_prediction.rows.model import NewRowModel
from lib.performance_prediction.rows.scenarios import Scenarios
from lib.performance_prediction.table.score_table import Floats

if TYPE_CHECKING:
    import pandas as pd

STEPS = (0, 3, 5, 11)
REHEARSED_EVALUATIONS = 11
REHEARSED_ROWS = 60


@dataclass(frozen=True)
class Suggestion:
    """One column to evaluate. `expected_best`: the best score expected in hand once it and those before it have been run."""

    column: str
    index: int
    predicted: float
    low: float
    high: float
    expected_best: float
    cost: float


@dataclass(frozen=True)
class SuggestedColumns:
    """Suggestions in order. `incumbent`: best measured score (None without any); regrets: expected distance of the best in hand
    from the best of all columns, before and after the evaluations, on the scale of the scores.
    """

    suggestions: tuple[Suggestion, ...]
    incumbent: float | None
    regret_before: float
    regret_after: float


def suggest(
    model: NewRowModel,
    values: Floats,
    costs: Floats | None = None,
    count: int = 1,
    features: pd.DataFrame | None = None,
    excluded: Collection[int] = (),
    portfolio_steps: int = 0,
) -> SuggestedColumns:
    """The next `count` columns to evaluate on a row with measured `values` (n_columns,), NaN elsewhere.

    They are chosen together, as a set that complements itself, from scenarios that agree with what is measured; ask again after
    each evaluation for the best course. `costs`: (n_columns,) > 0 of any unit. Never a measured or `excluded` column (one
    that cannot be run); fewer than `count` when fewer are left. `portfolio_steps`: see `best_portfolio_steps`. Raises MatrixError on
    costs that are not positive.
    """
    spent = _checked_costs(model, costs)
    scenarios = model.scenarios(values, features)
    measured = np.flatnonzero(np.isfinite(values))
    incumbent = float(values[measured].max()) if len(measured) else None
    barred = {*measured.tolist(), *excluded}
    order = choose_columns(scenarios, values, count, spent, barred, portfolio_steps)
    reachable = scenarios.values[:, [j for j in range(len(values)) if j not in excluded]]
    best = float(scenarios.weights @ reachable.max(axis=1, initial=incumbent or 0.0))
    told = model.predict(values, features)
    in_hand = np.full(len(scenarios.values), incumbent or 0.0)
    suggestions = []
    for j in order:
        in_hand = np.maximum(in_hand, scenarios.values[:, j])
        numbers = (told.mean[j], told.low[j], told.high[j], scenarios.weights @ in_hand, spent[j])
        suggestions.append(Suggestion(model.columns[j], j, *map(float, numbers)))
    after = suggestions[-1].expected_best if suggestions else incumbent or 0.0
    regrets = (max(best - found, 0.0) for found in (incumbent or 0.0, after))
    return SuggestedColumns(tuple(suggestions), incumbent, *regrets)


def choose_columns(
    scenarios: Scenarios,
    values: Floats,
    count: int,
    costs: Floats | None = None,
    excluded: Collection[int] = (),
    portfolio_steps: int = 0,
) -> list[int]:
    """The next `count` columns for a row with measured `values`, as greedy_portfolio chooses them; never an `excluded` one.

    Up to `portfolio_steps` measured columns: by the past rows alone, all alike. Then with nothing measured: from cautious scenarios;
    later half of the say goes to what the past rows themselves gained beyond the columns measured here, which knows more of
    rare big wins than any conditioning does.
    """
    measured = np.flatnonzero(np.isfinite(values))
    barred = {*excluded, *measured.tolist()}
    past = scenarios.replays
    gained = past[:, measured].max(1) if len(measured) else None
    if len(measured) < portfolio_steps:
        alike = (scenarios.weights > 0).astype(float)
        ahead = min(count, portfolio_steps - len(measured))
        chosen = greedy_portfolio(past, ahead, alike, gained, costs, barred)
        if len(chosen) < ahead or ahead == count:
            return chosen
        expected = values.copy()
        expected[chosen] = scenarios.weights @ scenarios.values[:, chosen]
        return chosen + choose_columns(scenarios, expected, count - ahead, costs, barred | set(chosen))
    if gained is None:
        return greedy_portfolio(scenarios.cautious(), count, scenarios.weights, None, costs, barred)
    in_hand = np.concatenate([np.full(len(scenarios.values), values[measured].max()), gained])
    rows, weights = np.vstack([scenarios.values, past]), np.tile(scenarios.weights, 2)
    return greedy_portfolio(rows, count, weights, in_hand, costs, barred)


def best_portfolio_steps(model: NewRowModel, seed: int = 0) -> int:
    """How many evaluations should follow the static portfolio before scenarios of the row itself decide: one of STEPS.

    Chosen on rows of the table that are played as new ones, their relatives left out: mean regret over the first evaluations.
    Where rows are all alike but for noise, nothing beats the portfolio; where they differ in kind, asking does.
    """
    rows = model.training.measured
    rng = np.random.default_rng(seed)
    played = rng.permutation(np.flatnonzero(np.isfinite(rows).sum(1) > 1))[:REHEARSED_ROWS]
    regrets = np.array([[_rehearsed_regret(model, int(row), steps) for steps in STEPS] for row in played])
    return STEPS[int(np.argmin(regrets.mean(0)))] if len(regrets) else 0


def _rehearsed_regret(model: NewRowModel, row: int, steps: int) -> float:
    truth = model.training.measured[row]
    path = asked_path(lambda values: model.scenarios_as(row, values), truth, REHEARSED_EVALUATIONS, steps)
    return float((np.nanmax(truth) - np.maximum.accumulate(truth[path])).mean())


def asked_path(
    scenarios: Callable[[Floats], Scenarios], truth: Floats, count: int, portfolio_steps: int
) -> list[int]:
    """The columns evaluated on a row whose scores are `truth` (NaN: cannot be asked for), asking again after each of `count`."""
    barred = np.flatnonzero(np.isnan(truth)).tolist()
    values = np.full(len(truth), np.nan)
    most = min(count, len(truth) - len(barred))
    path: list[int] = []
    while len(path) < most:
        ahead = max(1, min(portfolio_steps, most) - len(path))  # a portfolio does not look at what was found
        path += choose_columns(scenarios(values), values, ahead, None, barred, portfolio_steps)
        values[path] = truth[path]
    return path


def greedy_portfolio(
    scores: Floats,
    count: int,
    weights: Floats | None = None,
    incumbent: float | Floats | None = None,
    costs: Floats | None = None,
    excluded: Collection[int] = (),
) -> list[int]:
    """Columns in the order in which they add most to the weighted mean of the best score chosen so far, per unit of cost.

    `scores`: (n_rows, n_columns) without NaN, the rows being past rows or scenarios of one row, `weights` (n_rows,) their
    probabilities. `incumbent`: the best score already in hand, of all rows or of each (n_rows,). `costs`: (n_columns,) > 0. At most `count`
    columns, never an `excluded` one. Greedy is within 1 - 1/e of the best set (Nemhauser, Wolsey & Fisher 1978). Columns that can
    add nothing any more follow by their mean score per cost.
    """
    n, m = scores.shape
    weights = np.full(n, 1 / n) if weights is None else weights / weights.sum()
    costs = np.ones(m) if costs is None else costs
    means = weights @ scores
    best = np.broadcast_to(-np.inf if incumbent is None else incumbent, (n,))
    left = np.ones(m, dtype=bool)
    left[list(excluded)] = False
    chosen: list[int] = []
    for _ in range(min(count, int(left.sum()))):
        gains = means if np.isinf(best[0]) else weights @ np.maximum(scores - best[:, None], 0.0)
        if not (gains[left] > 0).any():
            gains = means
        pick = int(np.argmax(np.where(left, gains / costs, -np.inf)))
        chosen.append(pick)
        left[pick] = False
        best = np.maximum(best, scores[:, pick])
    return chosen


def _checked_costs(model: NewRowModel, costs: Floats | None) -> Floats:
    if costs is None:
        return np.ones(len(model.columns))
    if costs.shape != (len(model.columns),):
        raise MatrixError(f"expected {len(model.columns)} costs, one a column; found {costs.size}")
    wrong = np.flatnonzero(~(costs > 0) | np.isinf(costs))
    if len(wrong):
        raise MatrixError(
            f"column '{model.columns[wrong[0]]}' has the cost {costs[wrong[0]]:g}; expected a positive number"
        )
    return costs
