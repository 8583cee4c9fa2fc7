"""Completing one table: the completer, its intervals, and a summary of what was done."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

import lib.performance_prediction.completers  # noqa: F401  (registers the completers)
from lib.files import refuse_output
from lib.performance_prediction.table.conformal import CellConformal, calibrate_cells
from lib.performance_prediction.table.hold_out import OnFold, hold_out_predictions
from lib.performance_prediction.table.score_csv import read_score_table, write_completed
from lib.performance_prediction.table.score_table import COMPLETERS, Completer, Completion, Floats, ScoreTable

DEFAULT_COMPLETER = "bayesian_mf"
SIMPLEST_COMPLETER = "additive"
FEWEST_CELLS = 3  # below it nothing can be held out, and row + column bias is all that can be said


@dataclass(frozen=True)
class CompletedTable:
    """A completed table. `mean`, `low`, `high`: (n_rows, n_columns), a measured cell's are its own value.

    `held_out`: what was said of measured cells while they were hidden, NaN for other cells.
    """

    table: ScoreTable
    mean: Floats
    low: Floats
    high: Floats
    held_out: Floats
    completer: str
    calibration: CellConformal
    seconds: float

    @property
    def held_out_error(self) -> float | None:
        """Mean absolute error on measured cells that were hidden; None when none could be."""
        told = np.isfinite(self.held_out)
        return float(np.abs(self.held_out - self.table.values)[told].mean()) if told.any() else None

    @property
    def mean_width(self) -> float | None:
        """Mean width of the intervals of completed cells; None where every cell is measured."""
        missing = ~self.table.observed
        return float(np.mean((self.high - self.low)[missing])) if missing.any() else None


def complete(
    table: ScoreTable,
    completer: str | Completer = DEFAULT_COMPLETER,
    seed: int = 0,
    on_fold: OnFold | None = None,
    tune_once: bool = True,
) -> CompletedTable:
    """Fills in every missing cell of `table` with a 90 % interval. At least one cell must be measured.

    `tune_once`: hyper-parameters are chosen from all measured cells and kept while cells are hidden; else they are chosen anew
    without the hidden cells, which is stricter and dearer. Numerical libraries are held to one thread: the arrays are small, and
    waiting threads slow a busy machine down.
    """
    begun = time.perf_counter()
    asked = COMPLETERS[completer]() if isinstance(completer, str) else completer
    measured = int(table.observed.sum())
    if measured < FEWEST_CELLS:
        asked, completer = COMPLETERS[SIMPLEST_COMPLETER](), SIMPLEST_COMPLETER
    with threadpool_limits(1):
        if measured == table.values.size and tune_once:
            completion, unseen = Completion(table.values, np.ones_like(table.values)), None
        else:
            tuned = asked.tuned(table, seed)
            completion = tuned.fit(table, seed)
            judged = (tuned if tune_once else asked).shortened()
            unseen = hold_out_predictions(table, judged, seed, on_fold) if measured >= FEWEST_CELLS else None
    mean, spread = unseen or (np.full(table.values.shape, np.nan),) * 2
    calibration = calibrate_cells(table.values, mean, spread)
    ends = calibration.bounds(completion.mean, completion.spread)
    filled, low, high = (np.where(table.observed, table.values, a) for a in (completion.mean, *ends))
    name = completer if isinstance(completer, str) else type(completer).__name__
    seconds = time.perf_counter() - begun
    return CompletedTable(table, filled, low, high, mean, name, calibration, seconds)


def complete_file(
    matrix: Path,
    out: Path,
    features: tuple[Path | None, Path | None] = (None, None),
    completer: str = DEFAULT_COMPLETER,
    seed: int = 0,
    tell: Callable[[str], None] = lambda sentence: None,
) -> tuple[CompletedTable, tuple[str, ...]]:
    """Reads, completes and writes; the result and the warnings. Raises what these raise (CvAutomlError with the place).

    `features`: of rows and of columns. `tell` hears warnings and progress as they come.
    """
    COMPLETERS[completer]
    refuse_output(out, ".csv", (matrix, *features))
    read = read_score_table(matrix, *features)
    for warning in read.warnings:
        tell(f"warning: {warning}")
    done = complete(
        read.table, completer, seed, lambda fold, of: tell(f"checking on hidden cells: {fold} of {of}")
    )
    write_completed(out, done.table, done.mean, done.low, done.high)
    return done, read.warnings
