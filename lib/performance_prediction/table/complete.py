"""Completing one table: the completer, its intervals, and a summary of what was done."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits

from lib.performance_prediction.als.fold_in import TableCompletion
from lib.performance_prediction.completers.bayesian_mf import BayesianMf
from lib.performance_prediction.completers.stack import BlendedCompletion, Stack
from lib.performance_prediction.table.cell_intervals import Calibration, calibrate, interval_bounds
from lib.performance_prediction.table.hold_out import OnFold, hold_out_predictions
from lib.performance_prediction.table.score_table import COMPLETERS, Completer, Completion, Floats, ScoreTable

DEFAULT_COMPLETER = "stack"
FEWEST_CELLS = 3  # below it nothing can be held out, and row + column bias is all that can be said


@dataclass(frozen=True)
class CompletedTable:
    """A completed table. `mean`, `low`, `high`: (n_rows, n_columns), a measured cell's are its own value.

    `completer` is the name asked for, `used` what stood behind it (members and weights of a blend), `held_out_error` the
    mean absolute error on measured cells that were hidden (NaN when none could be), `seconds` the time it took.
    """

    table: ScoreTable
    completion: Completion
    mean: Floats
    low: Floats
    high: Floats
    completer: str
    used: dict[str, float]
    calibration: Calibration
    held_out_error: float
    seconds: float


def complete(
    table: ScoreTable, completer: str = DEFAULT_COMPLETER, seed: int = 0, on_fold: OnFold | None = None
) -> CompletedTable:
    """Fills in every missing cell of `table` with a 90 % interval. At least one cell must be measured.

    Numerical libraries are held to one thread: the arrays are small, and waiting threads slow a busy machine down.
    """
    begun = time.perf_counter()
    with threadpool_limits(1):
        completion = _fitted(table, completer, seed, on_fold)
    calibration = calibrate(table.values, completion.held_out)
    low, high = interval_bounds(table, completion, calibration)
    mean = np.where(table.observed, table.values, completion.mean)
    return CompletedTable(
        table,
        completion,
        mean,
        low,
        high,
        completer,
        _used(completion, completer),
        calibration,
        _held_out_error(table, completion),
        time.perf_counter() - begun,
    )


def _fitted(table: ScoreTable, name: str, seed: int, on_fold: OnFold | None) -> Completion:
    """A completion with held-out predictions, wherever there are cells enough to hold some out."""
    completer: Completer = COMPLETERS[name]()
    measured = int(table.observed.sum())
    if measured == table.values.size:
        return TableCompletion(table.values.copy(), np.full(table.values.shape, 1.0))
    if measured < FEWEST_CELLS:
        return COMPLETERS["additive"]().fit(table, seed)
    if isinstance(completer, Stack):
        return replace(completer, on_fold=on_fold).fit(table, seed)
    tuned = completer.tuned(table, seed)
    cheap = tuned.shortened() if isinstance(tuned, BayesianMf) else tuned
    held_out = hold_out_predictions(table, cheap, seed, on_fold)
    completion = tuned.fit(table, seed)
    completion.held_out = held_out
    return completion


def _used(completion: Completion, name: str) -> dict[str, float]:
    if isinstance(completion, BlendedCompletion):
        corrected = {"catboost correction": 1.0} if completion.corrected else {}
        return {**completion.blend.weights, **corrected}
    return {name if completion.held_out else "additive": 1.0}


def _held_out_error(table: ScoreTable, completion: Completion) -> float:
    if completion.held_out is None:
        return float("nan")
    told = np.isfinite(completion.held_out.mean)
    return float(np.abs(completion.held_out.mean - table.values)[told].mean())
