"""What to run next on a row: the unmeasured columns with the highest expected gain over the best in hand, per unit of cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from lib.errors import MatrixError
from lib.performance_prediction.new_rows import NewRowModel
from lib.performance_prediction.portfolio import expected_regret, greedy_portfolio
from lib.performance_prediction.table import Floats


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
) -> Plan:
    """The next `count` columns to evaluate on a row with measured `values` (n_columns,), NaN elsewhere.

    They are chosen together, as a set that complements itself, from scenarios that agree with what is measured; ask again after
    each evaluation for the best course. `costs`: (n_columns,) > 0 of any unit. Never a measured column; fewer than `count` when
    fewer are left. Raises MatrixError on costs that are not positive.
    """
    spent = _checked_costs(model, costs)
    scenarios = model.scenarios(values, features)
    prediction = model.predict(values, features)
    measured = np.flatnonzero(np.isfinite(values))
    incumbent = float(values[measured].max()) if len(measured) else None
    order = greedy_portfolio(
        scenarios.values, count, scenarios.weights, incumbent, None if costs is None else spent, measured
    )
    best = np.full(len(scenarios.values), incumbent or 0.0)
    suggestions = []
    for index in order:
        best = np.maximum(best, scenarios.values[:, index])
        suggestions.append(
            Suggestion(
                model.columns[index],
                index,
                float(prediction.mean[index]),
                float(prediction.low[index]),
                float(prediction.high[index]),
                float(scenarios.weights @ best),
                float(spent[index]),
            )
        )
    before, after = (
        expected_regret(scenarios.values, columns, scenarios.weights, incumbent or 0.0)
        for columns in ([], order)
    )
    return Plan(tuple(suggestions), incumbent, before, after)


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
