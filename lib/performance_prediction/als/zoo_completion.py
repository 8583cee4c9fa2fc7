"""Completes the quality matrix of our own runs by explicit ALS, and measures it on cells it has not seen beside its rivals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lib.config import AlsSettings
from lib.errors import TooLittleDataError
from lib.performance_prediction.als.explicit import AlsModel, OnSweep, fit_als
from lib.performance_prediction.als.matrix import QualityMatrix
from lib.performance_prediction.table.score_table import COMPLETERS, ScoreTable

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

RIVALS = ("additive", "column_mean", "implicit")
LEAVE_ONE_OUT_UP_TO = 30  # cells; above it folds, because each cell costs a fit
REGULARISATION_STEPS = (1.0, 0.1, 0.01)  # shares of the configured regularisation that are tried
SELECTION_SWEEPS = 15  # enough to rank settings; the final fit takes the configured number
COVERAGE = 0.9


@dataclass(frozen=True)
class AlsChoice:
    """Rank and regularisation of one ALS fit."""

    rank: int
    regularisation: float


@dataclass(frozen=True)
class ZooCompletion:
    """The completed quality matrix; every array has the shape (n_backbones, n_heads) of `matrix.values`.

    `values`: measured where measured, else what ALS says; NaN for incompatible pairs. `low`, `high`: 90 % interval of the
    completed cells from held-out errors (equal to the value where measured). `training_error`: absolute error of the
    final fit on the measured cells; `held_out_error`: of fits that had not seen the cell, chosen without it too.
    `held_out_mae`: method → mean held-out error over the same folds, ALS among them.
    """

    matrix: QualityMatrix
    model: AlsModel
    choice: AlsChoice
    values: Floats
    low: Floats
    high: Floats
    training_error: Floats
    held_out_error: Floats
    held_out_mae: Mapping[str, float]
    n_folds: int

    @property
    def completed(self) -> Bools:
        """True where ALS filled the cell."""
        return ~self.matrix.measured & np.isfinite(self.values)

    @property
    def beaten_by(self) -> tuple[str, ...]:
        """Rivals with a held-out error not above that of ALS, best first."""
        own = self.held_out_mae["als"]
        rivals = [(mae, name) for name, mae in self.held_out_mae.items() if name != "als" and mae <= own]
        return tuple(name for _, name in sorted(rivals))


def complete_zoo(
    matrix: QualityMatrix,
    settings: AlsSettings,
    rank: int | None = None,
    seed: int = 0,
    on_sweep: OnSweep | None = None,
) -> ZooCompletion:
    """Chooses rank and regularisation by cross-validation within what the cells support, fits, and judges on held-out cells.

    `rank`: taken as it is as far as the cells support it; None: chosen from 0 … `settings.rank`. `on_sweep(sweep, rmse)` follows
    the final fit. Raises TooLittleDataError where the matrix has one row or column, or no two of them overlap.
    """
    refuse_too_little(matrix)
    values = matrix.values
    grid = _grid(values, settings, rank)
    choice = _choose(values, grid, settings.folds, seed)
    model = fit_als(values, choice.rank, choice.regularisation, settings.sweeps, seed, on_sweep)
    folds = _folds(values, settings.folds, seed)
    held_out = {"als": _held_out(values, folds, lambda v: _nested_als(v, settings, rank, seed))}
    for name in RIVALS:
        held_out[name] = _held_out(values, folds, lambda v, name=name: _rival(matrix, v, name, seed))  # type: ignore[misc]
    fitted = np.clip(model.predict(), 0, 1)
    filled = np.where(matrix.measured, values, fitted)
    filled[~matrix.possible & ~matrix.measured] = np.nan
    errors = np.abs(held_out["als"] - values)
    half_width = conformal_half_width(errors[matrix.measured])
    return ZooCompletion(
        matrix=matrix,
        model=model,
        choice=choice,
        values=filled,
        low=np.where(matrix.measured, values, np.clip(filled - half_width, 0, 1)),
        high=np.where(matrix.measured, values, np.clip(filled + half_width, 0, 1)),
        training_error=np.where(matrix.measured, np.abs(fitted - values), np.nan),
        held_out_error=errors,
        held_out_mae={name: float(np.nanmean(np.abs(p - values))) for name, p in held_out.items()},
        n_folds=len(folds),
    )


def refuse_too_little(matrix: QualityMatrix) -> None:
    """Raises TooLittleDataError, saying what to run, where nothing can be learnt from the matrix."""
    n_backbones, n_heads = matrix.values.shape
    if n_backbones < 2 or n_heads < 2:
        short = f"backbone ({matrix.backbones[0]})" if n_backbones < 2 else f"head ({matrix.heads[0]})"
        raise TooLittleDataError(
            f"the quality matrix has {n_backbones} × {n_heads} pairs, only one {short}: "
            "a completion needs at least two backbones and two heads, run the zoo with more of them"
        )
    if matrix.measured.sum(axis=0).max() < 2 or matrix.measured.sum(axis=1).max() < 2:
        raise TooLittleDataError(
            f"the {int(matrix.measured.sum())} measured pairs do not overlap: no two backbones share a head and no backbone "
            "has two; run one head with every backbone and one backbone with every head"
        )


def supported_rank(values: Floats) -> int:
    """The highest rank whose weights are not more than the measured cells: (n_rows + n_columns)(rank + 1) ≤ cells."""
    cells = int(np.isfinite(values).sum())
    return max(0, min(cells // sum(values.shape) - 1, min(values.shape) - 1))


def conformal_half_width(errors: Floats) -> float:
    """Half the width of a 90 % interval from held-out absolute errors (n,), with the finite-sample correction of
    split conformal prediction (Vovk et al. 2005): the ⌈(n + 1) 0.9⌉-th smallest; 1 where n is too small for one."""
    position = math.ceil((len(errors) + 1) * COVERAGE)
    return float(np.sort(errors)[position - 1]) if position <= len(errors) else 1.0


def _grid(values: Floats, settings: AlsSettings, rank: int | None) -> list[AlsChoice]:
    highest = supported_rank(values)
    ranks = [min(rank, highest)] if rank is not None else range(min(settings.rank, highest) + 1)
    return [AlsChoice(r, settings.regularisation * step) for r in ranks for step in REGULARISATION_STEPS]


def _choose(values: Floats, grid: list[AlsChoice], n_folds: int, seed: int) -> AlsChoice:
    """The setting with the lowest squared held-out error; on a tie the simpler one, which comes first."""
    folds = _folds(values, n_folds, seed + 1, leave_one_out_up_to=0)

    def error(choice: AlsChoice) -> float:
        predicted = _held_out(values, folds, lambda v: _als(v, choice, SELECTION_SWEEPS, seed))
        return float(np.nanmean(np.square(predicted - values)))

    return min(grid, key=error) if len(grid) > 1 and folds else grid[0]


def _nested_als(values: Floats, settings: AlsSettings, rank: int | None, seed: int) -> Floats:
    choice = _choose(values, _grid(values, settings, rank), settings.folds, seed)
    return _als(values, choice, settings.sweeps, seed)


def _als(values: Floats, choice: AlsChoice, sweeps: int, seed: int) -> Floats:
    return np.clip(fit_als(values, choice.rank, choice.regularisation, sweeps, seed).predict(), 0, 1)


def _rival(matrix: QualityMatrix, values: Floats, name: str, seed: int) -> Floats:
    return COMPLETERS[name]().fit(ScoreTable(matrix.backbones, matrix.heads, values), seed).mean


def _folds(
    values: Floats, n_folds: int, seed: int, leave_one_out_up_to: int = LEAVE_ONE_OUT_UP_TO
) -> list[Bools]:
    """Masks (n_rows, n_columns) of the cells held out together; each measured cell is in exactly one."""
    cells = np.argwhere(np.isfinite(values))
    count = len(cells) if len(cells) <= leave_one_out_up_to else min(n_folds, len(cells))
    shuffled = np.random.default_rng(seed).permutation(len(cells))
    masks = []
    for members in np.array_split(shuffled, count):
        mask = np.zeros(values.shape, dtype=bool)
        mask[tuple(cells[members].T)] = True
        masks.append(mask)
    return masks


def _held_out(values: Floats, folds: list[Bools], predict: Callable[[Floats], Floats]) -> Floats:
    """Each measured cell's prediction by a fit without its fold, NaN elsewhere."""
    predicted = np.full(values.shape, np.nan)
    for mask in folds:
        predicted[mask] = predict(np.where(mask, np.nan, values))[mask]
    return predicted
