"""Hiding measured cells from a completer: the folds, what it says of them, and the choice between candidates."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from lib.performance_prediction.table.score_table import Completer, Floats, HeldOut, ScoreTable

CHOICE_SHARE = 0.2  # of the measured cells, hidden to choose a hyper-parameter
CHOICE_CELLS = 4000  # more hidden cells would not change a choice

FOLDS = 8
ENOUGH_CELLS = 4000  # hidden cells from which weights and quantiles no longer move

OnFold = Callable[[int, int], None]


def draw_folds(observed: npt.NDArray[np.bool_], count: int, seed: int) -> Floats:
    """Fold number of each observed cell, −1 elsewhere, (n_rows, n_columns): uniformly at random, sizes differ by at most one."""
    cells = np.flatnonzero(observed)
    folds = np.full(observed.size, -1)
    order = np.random.default_rng(seed).permutation(len(cells))
    folds[cells[order]] = np.arange(len(cells)) % count
    return folds.reshape(observed.shape)


def plan_folds(observed: npt.NDArray[np.bool_], seed: int) -> list[npt.NDArray[np.bool_]]:
    """Bool masks of the cells to hide, one a fit: eighths of the measured cells, as many as it takes to hide enough of them.

    Small shares keep the fits close to the one on all cells; a large table needs only one of them.
    """
    measured = int(observed.sum())
    if measured < 2:
        return []
    count = min(FOLDS, measured)
    folds = draw_folds(observed, count, seed)
    used = min(count, max(1, -(-ENOUGH_CELLS * count // measured)))
    return [folds == fold for fold in range(used)]


def hold_out_predictions(
    table: ScoreTable, completer: Completer, seed: int, on_fold: OnFold | None = None
) -> HeldOut:
    """Mean and spread of measured cells from fits that did not see them, over the folds of `plan_folds`."""
    masks = plan_folds(table.observed, seed)
    mean, spread = np.full(table.values.shape, np.nan), np.full(table.values.shape, np.nan)
    for fold, hidden in enumerate(masks, start=1):
        completion = completer.fit(table.hiding(hidden), seed + fold)
        mean[hidden], spread[hidden] = completion.mean[hidden], completion.spread[hidden]
        if on_fold:
            on_fold(fold, len(masks))
    return HeldOut(mean, spread)


def best_candidate(table: ScoreTable, candidates: Sequence[Completer], seed: int) -> int:
    """Index of the candidate with the least mean absolute error on one hidden share of the measured cells; 0 on a tie."""
    hidden = choice_cells(table.observed, seed)
    if len(candidates) == 1 or not hidden.any() or hidden.sum() == table.observed.sum():
        return 0
    part = table.hiding(hidden)
    truth = table.values[hidden]
    errors = [np.abs(candidate.fit(part, seed).mean[hidden] - truth).mean() for candidate in candidates]
    return int(np.argmin(errors))


def choice_cells(observed: npt.NDArray[np.bool_], seed: int) -> npt.NDArray[np.bool_]:
    """The cells that are hidden to choose a hyper-parameter: a fifth of the measured ones, 4,000 at most."""
    cells = np.flatnonzero(observed)
    count = min(round(CHOICE_SHARE * len(cells)), CHOICE_CELLS)
    hidden = np.zeros(observed.size, dtype=bool)
    hidden[np.random.default_rng(seed).permutation(cells)[:count]] = True
    return hidden.reshape(observed.shape)
