"""90 % intervals of completed cells, calibrated conformally on measured cells that were hidden from the model.

Each hidden cell's absolute error is divided by the spread the model gave it; the quantile of these ratios, with the
correction for a finite sample, times the spread of a missing cell is the half-width of its interval (split conformal with
normalised residuals: Lei et al. 2018, "Distribution-free predictive inference for regression", section 5.2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lib.performance_prediction.table.score_table import Completion, Floats, HeldOut, ScoreTable

LEVEL = 0.9


@dataclass(frozen=True)
class Calibration:
    """`factor`: how many spreads half an interval is wide; `cells`: hidden cells it rests on; `level`: nominal coverage.

    The factor is infinite when no cell could be hidden: an interval is then all of [0, 1].
    """

    factor: float
    cells: int
    level: float = LEVEL

    def bounds(self, mean: Floats, spread: Floats) -> tuple[Floats, Floats]:
        """Lower and upper ends, clipped to [0, 1]."""
        return np.clip(mean - self.factor * spread, 0.0, 1.0), np.clip(mean + self.factor * spread, 0.0, 1.0)


def calibrate(values: Floats, held_out: HeldOut | None, level: float = LEVEL) -> Calibration:
    """Calibration from held-out predictions of the measured `values`, (n_rows, n_columns), NaN where not measured."""
    if held_out is None:
        return Calibration(np.inf, 0, level)
    used = np.isfinite(values) & np.isfinite(held_out.mean)
    ratios = np.abs(values - held_out.mean)[used] / held_out.spread[used]
    if ratios.size == 0:
        return Calibration(np.inf, 0, level)
    return Calibration(conformal_quantile(ratios, level), int(ratios.size), level)


def conformal_quantile(scores: Floats, level: float) -> float:
    """The ⌈(n + 1)·level⌉-th smallest of n scores: covers a further exchangeable score with probability ≥ `level`.

    With too few scores for that guarantee (n < level / (1 − level)), one and a half times the largest.
    """
    ordered = np.sort(scores)
    place = int(np.ceil((len(ordered) + 1) * level))
    return float(ordered[place - 1]) if place <= len(ordered) else float(1.5 * ordered[-1])


def interval_bounds(
    table: ScoreTable, completion: Completion, calibration: Calibration
) -> tuple[Floats, Floats]:
    """Ends of each cell's interval, (n_rows, n_columns); a measured cell's are its own value."""
    low, high = calibration.bounds(completion.mean, completion.spread)
    return np.where(table.observed, table.values, low), np.where(table.observed, table.values, high)
