"""Completes the quality matrix of our own runs by explicit ALS, and measures it on cells it has not seen beside its rivals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lib.config import AlsSettings, Settings
from lib.errors import TooLittleDataError
from lib.performance_prediction.als.biased_als import BiasedAls
from lib.performance_prediction.als.explicit import AlsModel, OnSweep, supported_rank
from lib.performance_prediction.als.matrix import QualityMatrix, quality_matrix
from lib.performance_prediction.boosting.evidence import gather_evidence
from lib.performance_prediction.table.complete import complete
from lib.performance_prediction.table.hold_out import hold_out_predictions, plan_folds
from lib.performance_prediction.table.score_table import COMPLETERS, Bools, Floats, ScoreTable
from lib.records import BrokenRecord, RecordStore
from lib.records.schema import Metric, Task

RIVALS = ("additive", "column_mean", "implicit")


@dataclass(frozen=True)
class ZooCompletion:
    """The completed quality matrix; every array has the shape (n_backbones, n_heads) of `matrix.values`.

    `model`: the factors, in units of quality. `values`: measured where measured, else what ALS says; NaN for incompatible pairs.
    `low`, `high`: 90 % interval of the completed cells (equal to the value where measured). `training_error`: absolute error of
    the final fit on the measured cells; `held_out_error`: of fits that had not seen the cell, chosen without it too.
    `held_out_mae`: method → mean held-out error over the same folds, ALS among them.
    """

    matrix: QualityMatrix
    model: AlsModel
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

    def status(self, i: int, j: int) -> str:
        """`measured`, `completed` or `incompatible`."""
        return (
            "measured"
            if self.matrix.measured[i, j]
            else "completed"
            if self.completed[i, j]
            else "incompatible"
        )

    @property
    def beaten_by(self) -> tuple[str, ...]:
        """Rivals with a held-out error not above that of ALS, best first."""
        own = self.held_out_mae["als"]
        rivals = [(mae, name) for name, mae in self.held_out_mae.items() if name != "als" and mae <= own]
        return tuple(name for _, name in sorted(rivals))


def train_on_runs(
    settings: Settings,
    epoch: int | None = None,
    domains: Sequence[str] = (),
    task: Task | None = None,
    metric: Metric | None = None,
    rank: int | None = None,
    seed: int = 0,
    on_sweep: OnSweep | None = None,
) -> tuple[ZooCompletion, list[BrokenRecord]]:
    """Completes the quality matrix of the records in `settings.runs_dir`; beside it the files there that are no records.

    `epoch` defaults to `settings.als.epoch`. Raises TooLittleDataError where the runs chosen do not support a completion.
    """
    records, broken = RecordStore(settings.runs_dir).read_all()
    related = settings.related_data_sets
    evidence = gather_evidence(records, epoch or settings.als.epoch, domains, task, related, metric)
    return complete_zoo(quality_matrix(evidence), settings.als, rank, seed, on_sweep), broken


def complete_zoo(
    matrix: QualityMatrix,
    settings: AlsSettings,
    rank: int | None = None,
    seed: int = 0,
    on_sweep: OnSweep | None = None,
) -> ZooCompletion:
    """The table's completion by ALS, with its factors and the errors of its rivals.

    `rank`: taken as it is as far as the cells support it; None: chosen from 0 … `settings.rank`. `on_sweep(sweep, rmse)` follows
    the final fit. Raises TooLittleDataError where the matrix has one row or column, or no two of them overlap.
    """
    refuse_too_little(matrix)
    table = ScoreTable(matrix.backbones, matrix.heads, matrix.values)
    highest = min(supported_rank(matrix.values), settings.rank if rank is None else rank)
    als = BiasedAls("identity", rank, highest_rank=highest, sweeps=settings.sweeps)
    scale, model = als.model(table, seed, on_sweep)
    done = complete(table, als, seed, tune_once=False)
    told = {name: hold_out_predictions(table, COMPLETERS[name](), seed)[0] for name in RIVALS}
    told["als"] = done.held_out
    possible = matrix.possible | matrix.measured
    fitted = np.clip(scale.backward(model.predict()), 0, 1)
    values, low, high = (np.where(possible, array, np.nan) for array in (done.mean, done.low, done.high))
    return ZooCompletion(
        matrix=matrix,
        model=model.on_scale(scale),
        values=values,
        low=low,
        high=high,
        training_error=np.abs(fitted - matrix.values),
        held_out_error=np.abs(done.held_out - matrix.values),
        held_out_mae={name: float(np.nanmean(np.abs(cells - matrix.values))) for name, cells in told.items()},
        n_folds=len(plan_folds(table.observed, seed)),
    )


def refuse_too_little(matrix: QualityMatrix) -> None:
    """Raises TooLittleDataError, saying what to run, where nothing can be learnt from the matrix."""
    n_backbones, n_heads = matrix.values.shape
    measured = matrix.measured
    if n_backbones < 2 or n_heads < 2:
        short = f"backbone ({matrix.backbones[0]})" if n_backbones < 2 else f"head ({matrix.heads[0]})"
        raise TooLittleDataError(
            f"the quality matrix has {n_backbones} × {n_heads} pairs, only one {short}: "
            "a completion needs at least two backbones and two heads, run the zoo with more of them"
        )
    if measured.sum(axis=0).max() < 2 or measured.sum(axis=1).max() < 2:
        raise TooLittleDataError(
            f"the {int(measured.sum())} measured pairs do not overlap: no two backbones share a head and no backbone "
            "has two; run one head with every backbone and one backbone with every head"
        )
