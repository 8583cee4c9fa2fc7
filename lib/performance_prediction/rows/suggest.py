"""What to run next on a row: the unmeasured columns with the highest expected gain over the best in hand, per unit of cost."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lib.errors import MatrixError
from lib.performance_prediction.rows.model import NewRowModel, RowPrediction
from lib.performance_prediction.rows.portfolio import greedy_portfolio
from lib.performance_prediction.rows.scenarios import Scenarios
from lib.performance_prediction.table.score_table import Floats


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
class Plan:
    """Suggestions in order. `incumbent`: best measured score (None without any); regrets: expected distance of the best in hand
    from the best of all columns, before and after the plan, on the scale of the scores.
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
) -> Plan:
    """The next `count` columns to evaluate on a row with measured `values` (n_columns,), NaN elsewhere.

    They are chosen together, as a set that complements itself, from scenarios that agree with what is measured; ask again after
    each evaluation for the best course. `costs`: (n_columns,) > 0 of any unit. Never a measured or `excluded` column (one
    that cannot be run); fewer than `count` when fewer are left. Raises MatrixError on costs that are not positive.
    """
    spent = _checked_costs(model, costs)
    scenarios = model.scenarios(values, features)
    measured = np.flatnonzero(np.isfinite(values))
    incumbent = float(values[measured].max()) if len(measured) else None
    barred = {*measured.tolist(), *excluded}
    order = choose_columns(scenarios, values, count, spent, barred)
    reachable = scenarios.values[:, [j for j in range(len(values)) if j not in excluded]]
    best = scenarios.weights @ reachable.max(axis=1, initial=incumbent or 0.0)
    suggestions = _described(
        model.predict(values, features), model.columns, scenarios, order, incumbent, spent
    )
    before = incumbent or 0.0
    after = suggestions[-1].expected_best if suggestions else before
    return Plan(suggestions, incumbent, max(float(best - before), 0.0), max(float(best - after), 0.0))


def choose_columns(
    scenarios: Scenarios,
    values: Floats,
    count: int,
    costs: Floats | None = None,
    excluded: Collection[int] = (),
) -> list[int]:
    """The next `count` columns for a row with measured `values`, as greedy_portfolio chooses them; never an `excluded` one.

    With nothing measured: from cautious scenarios. Later half of the say goes to what the past rows themselves gained beyond the
    columns measured here, which knows more of rare big wins than any conditioning does.
    """
    measured = np.flatnonzero(np.isfinite(values))
    if len(measured) == 0:
        return greedy_portfolio(scenarios.cautious(), count, scenarios.weights, None, costs, excluded)
    in_hand = np.full(len(scenarios.values), values[measured].max())
    return greedy_portfolio(
        np.vstack([scenarios.values, scenarios.replays]),
        count,
        np.concatenate([scenarios.weights, scenarios.weights]),
        np.concatenate([in_hand, scenarios.replays[:, measured].max(1)]),
        costs,
        {*excluded, *measured.tolist()},
    )


def _described(
    prediction: RowPrediction,
    columns: tuple[str, ...],
    scenarios: Scenarios,
    order: list[int],
    incumbent: float | None,
    costs: Floats,
) -> tuple[Suggestion, ...]:
    best = np.full(len(scenarios.values), incumbent or 0.0)
    suggestions = []
    for index in order:
        best = np.maximum(best, scenarios.values[:, index])
        suggestions.append(
            Suggestion(
                column=columns[index],
                index=index,
                predicted=float(prediction.mean[index]),
                low=float(prediction.low[index]),
                high=float(prediction.high[index]),
                expected_best=float(scenarios.weights @ best),
                cost=float(costs[index]),
            )
        )
    return tuple(suggestions)


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
