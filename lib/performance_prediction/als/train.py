"""Completes the quality matrix of our own runs by explicit ALS, and measures it on cells it has not seen beside its rivals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lib.config import AlsSettings, Settings
from lib.errors import TooLittleDataError
from lib.performance_prediction.als.biased_als import BiasedAls
from lib.performance_prediction.als.explicit import AlsModel, OnSweep, supported_rank
from lib.performance_prediction.als.matrix import QualityMatrix, quality_matrix
from lib.performance_prediction.als.pair_table import FEWEST_SETS, RIVALS, HeldOut, complete_pairs
from lib.performance_prediction.boosting.cells import Cell
from lib.performance_prediction.boosting.evidence import Evidence, Pair, gather_evidence
from lib.performance_prediction.table.complete import complete
from lib.performance_prediction.table.hold_out import hold_out_predictions, plan_folds
from lib.performance_prediction.table.score_table import COMPLETERS, Bools, Floats, ScoreTable
from lib.records import BrokenRecord, RecordStore
from lib.records.design import Design
from lib.records.schema import Metric, Task


@dataclass(frozen=True)
class ZooCompletion:
    """The completed quality matrix; every array has the shape (n_backbones, n_heads) of `matrix.values`.

    `values`: measured where measured, else what ALS says; NaN for incompatible pairs. From three data sets on, ALS completes the
    table data set × pair, `course` is its model, and this is that table's mean over the sets, errors too; with fewer the
    matrix itself. `model`: the embeddings of backbones and heads, in units of quality. `low`, `high`: 90 % interval (equal to the value
    where all is measured). `training_error`: absolute error of the final fit on the measured cells; `held_out_error`: of fits
    that had not seen the cell, chosen without it too. `held_out_mae`: method → mean held-out error over the same folds, ALS
    among them; `held_out`: the same for each kind of column, and on what a design hides.
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
    course: AlsModel
    held_out: tuple[HeldOut, ...] = ()

    @property
    def n_data_sets(self) -> int:
        """How many sets it is the mean of."""
        return len(self.matrix.evidence.data_sets)

    @property
    def measured_share(self) -> Floats:
        """Of the data sets, how many have each pair measured: (n_backbones, n_heads), 0 … 1."""
        return self.matrix.n_data_sets / self.n_data_sets

    @property
    def completed(self) -> Bools:
        """True where ALS filled the cell, on some data set at least."""
        filled = self.measured_share < 1 if self.n_data_sets >= FEWEST_SETS else ~self.matrix.measured
        return filled & np.isfinite(self.values)

    def status(self, i: int, j: int) -> str:
        """`measured` (on every data set), `completed` (on some of them) or `incompatible`."""
        return (
            "completed"
            if self.completed[i, j]
            else "measured"
            if self.matrix.measured[i, j]
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
    design: Design | None = None,
) -> tuple[ZooCompletion, list[BrokenRecord]]:
    """Completes the quality matrix of the records in `settings.runs_dir`; beside it the files there that are no records. What
    `design` hides is kept from every fit, and judged on.

    `epoch` defaults to `settings.als.epoch`. Raises TooLittleDataError where the runs chosen do not support a completion.
    """
    store = RecordStore(settings.runs_dir)
    (records, broken), (facts, _) = store.read_all(), store.read_facts()
    related = settings.related_data_sets
    evidence = gather_evidence(records, epoch or settings.als.epoch, domains, task, related, metric, facts)
    shown, hidden = parted(evidence, design)
    return complete_zoo(quality_matrix(shown), settings.als, rank, seed, on_sweep, hidden), broken


def parted(evidence: Evidence, design: Design | None) -> tuple[Evidence, tuple[Cell, ...]]:
    """The evidence without the cells that the design hides, and those cells, of data sets that have others."""
    kept_apart = set(design.hidden) if design else set()
    hidden = [cell for cell in evidence.cells if (cell.data_set, *cell.pair) in kept_apart]
    shown = replace(evidence, cells=tuple(cell for cell in evidence.cells if cell not in hidden))
    return shown, tuple(cell for cell in hidden if cell.data_set in shown.data_sets)


def complete_zoo(
    matrix: QualityMatrix,
    settings: AlsSettings,
    rank: int | None = None,
    seed: int = 0,
    on_sweep: OnSweep | None = None,
    hidden: Sequence[Cell] = (),
) -> ZooCompletion:
    """The table's completion by ALS, with its factors and the errors of its rivals. `hidden`: measured cells that are not in it.

    `rank`: taken as it is as far as the cells support it; None: chosen from 0 … `settings.rank`. `on_sweep(sweep, rmse)` follows
    the final fit. Raises TooLittleDataError where the matrix has one row or column, or no two of them overlap.
    """
    refuse_too_little(matrix)
    if len(matrix.evidence.data_sets) >= FEWEST_SETS:
        return _mean_of_sets(matrix, settings, rank, seed, on_sweep, hidden)
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
        course=model.on_scale(scale),
    )


def _mean_of_sets(
    matrix: QualityMatrix,
    settings: AlsSettings,
    rank: int | None,
    seed: int,
    on_sweep: OnSweep | None,
    hidden: Sequence[Cell],
) -> ZooCompletion:
    """Completes the table data set × pair, and takes its mean over the sets."""
    evidence, possible = matrix.evidence, matrix.possible | matrix.measured
    places = [(i, j) for i, j in np.argwhere(possible).tolist()]
    pairs = [Pair(matrix.backbones[i], matrix.heads[j]) for i, j in places]
    table = complete_pairs(evidence, pairs, settings, rank, seed, on_sweep, hidden)

    def grid(of_pairs: Floats) -> Floats:
        values = np.full(matrix.values.shape, np.nan)
        values[tuple(np.transpose(places))] = of_pairs
        return values

    done, measured = table.done, table.done.table.values
    values, low, high = (grid(table.mean(array)) for array in (done.mean, done.low, done.high))
    return ZooCompletion(
        matrix=matrix,
        model=_embeddings(matrix, values, settings, rank, seed),
        values=values,
        low=low,
        high=high,
        training_error=grid(table.mean(np.abs(table.said["als"] - measured))),
        held_out_error=grid(table.errors),
        held_out_mae={name: float(np.nanmean(np.abs(t - measured))) for name, t in table.told.items()},
        n_folds=len(plan_folds(done.table.observed, seed)),
        course=table.model,
        held_out=tuple(table.held_out(evidence.task)),
    )


def _embeddings(
    matrix: QualityMatrix, values: Floats, settings: AlsSettings, rank: int | None, seed: int
) -> AlsModel:
    """ALS of the mean table: what tells its backbones and heads apart."""
    highest = min(supported_rank(values), settings.rank if rank is None else rank)
    als = BiasedAls("identity", rank, highest_rank=highest, sweeps=settings.sweeps)
    scale, model = als.model(ScoreTable(matrix.backbones, matrix.heads, values), seed)
    return model.on_scale(scale)


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
