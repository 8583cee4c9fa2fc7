"""A few columns that complement each other: whichever row comes, one of them is good; chosen greedily for the expected best."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from lib.performance_prediction.table.score_table import Floats


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
