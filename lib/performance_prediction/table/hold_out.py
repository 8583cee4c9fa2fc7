"""Hiding measured cells from a completer: the folds, what it says of them, and the choice between candidates."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from lib.performance_prediction.table.score_table import Bools, Completer, Floats, Ints, ScoreTable

CHOICE_SHARE = 0.2  # of the measured cells, hidden at a time to choose a hyper-parameter
CHOICE_CELLS = 200  # hidden one after the other before a choice is made
ENOUGH_CELLS = 4000  # hidden cells from which choices, weights and quantiles no longer move
FOLDS = 8
LEAVE_ONE_OUT_UP_TO = 30  # cells; above it folds, because each cell costs a fit

OnFold = Callable[[int, int], None]


def random_cells(observed: Bools, count: int, seed: int) -> Bools:
    """Bool (n_rows, n_columns): `count` of the observed cells, uniformly at random."""
    return _mask(observed, np.random.default_rng(seed).permutation(np.flatnonzero(observed))[:count])


def _mask(observed: Bools, cells: Ints) -> Bools:
    """Bool of the shape of `observed`: True at these places of its flat form."""
    chosen = np.zeros(observed.size, dtype=bool)
    chosen[cells] = True
    return chosen.reshape(observed.shape)


def plan_folds(observed: Bools, seed: int) -> list[Bools]:
    """Bool masks of the cells to hide, one a fit: eighths of the measured cells, as many as it takes to hide enough of them.

    Small shares keep the fits close to the one on all cells; a large table needs only one of them, a tiny one leaves out each cell.
    """
    cells = np.flatnonzero(observed)
    if len(cells) < 2:
        return []
    count = len(cells) if len(cells) <= LEAVE_ONE_OUT_UP_TO else FOLDS
    used = min(count, max(1, -(-ENOUGH_CELLS * count // len(cells))))
    shuffled = np.random.default_rng(seed).permutation(cells)
    return [_mask(observed, shuffled[fold::count]) for fold in range(used)]


def hold_out_predictions(
    table: ScoreTable, completer: Completer, seed: int, on_fold: OnFold | None = None
) -> tuple[Floats, Floats]:
    """Mean and spread of measured cells from fits that did not see them, over the folds of `plan_folds`; NaN for other cells."""
    masks = plan_folds(table.observed, seed)
    mean, spread = np.full((2, *table.values.shape), np.nan)
    for fold, hidden in enumerate(masks, start=1):
        told = completer.fit(table.hiding(hidden), seed + fold)
        mean[hidden], spread[hidden] = told.mean[hidden], told.spread[hidden]
        if on_fold:
            on_fold(fold, len(masks))
    return mean, spread


def best_candidate(table: ScoreTable, candidates: Sequence[Completer], seed: int) -> int:
    """Index of the candidate with the smallest mean absolute error on hidden cells; the first without any to hide.

    A fifth of the cells is hidden at a time, and as many fifths one after the other as it takes to hide enough for a choice.
    """
    masks = choice_folds(table.observed, seed)
    if len(candidates) == 1 or not masks:
        return 0
    errors = np.zeros(len(candidates))
    for hidden in masks:
        part, truth = table.hiding(hidden), table.values[hidden]
        errors += [np.abs(candidate.fit(part, seed).mean[hidden] - truth).sum() for candidate in candidates]
    return int(np.argmin(errors))


def choice_folds(observed: Bools, seed: int) -> list[Bools]:
    """Masks of cells to hide to choose a hyper-parameter: fifths of the measured ones (4,000 at most), up to 200 cells together."""
    cells = np.random.default_rng(seed).permutation(np.flatnonzero(observed))
    size = min(round(CHOICE_SHARE * len(cells)), ENOUGH_CELLS)
    if size == 0:
        return []
    count = min(len(cells) // size, -(-CHOICE_CELLS // size))
    return [_mask(observed, cells[k * size : (k + 1) * size]) for k in range(count)]


def choice_cells(observed: Bools, seed: int) -> Bools:
    """The first of these masks; nothing hidden where there are too few cells."""
    return next(iter(choice_folds(observed, seed)), np.zeros_like(observed))
