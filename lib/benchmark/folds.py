"""The folds of one cell → what its one record says: curves, metrics and grid as means, confusion and seconds as sums."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np

from lib.datasets import DataSet
from lib.datasets.base import PARTS
from lib.records import EpochEntry, FinalMetrics, FoldResult, GridPoint
from lib.zoo.heads import TrainingResult
from lib.zoo.metrics import combined_standard_error, per_class_metrics


@dataclass(frozen=True)
class TrainedFold:
    """One fold that was trained: its number, its data set (with that fold's parts) and what came of it."""

    fold: int
    data_set: DataSet
    result: TrainingResult


def assembled(folds: Sequence[TrainedFold]) -> dict[str, Any]:
    """The fields of a finished record that come from training: epochs, folds, final and grid."""
    results = [one.result for one in folds]
    return {
        "epochs": mean_epochs([result.epochs for result in results]),
        "folds": tuple(_fold_result(one) for one in folds),
        "final": _final([result.final for result in results], folds[0].data_set),
        "grid": mean_grid([result.grid for result in results]),
    }


def _fold_result(one: TrainedFold) -> FoldResult:
    return FoldResult(
        fold=one.fold,
        **{f"n_{part}": len(one.data_set.indices(part)) for part in PARTS},
        validation=one.result.validation,
        test=one.result.final.metrics,
        chosen=one.result.chosen,
        batch_size=one.result.batch_size,
    )


def means(values: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Name → mean over the mappings that have it: a metric may be undefined on a fold."""
    return {name: fmean(v[name] for v in values if name in v) for name in _names(values)}


def _names(values: Iterable[Mapping[str, Any]]) -> dict[str, None]:
    return dict.fromkeys(name for value in values for name in value)


def mean_epochs(curves: Sequence[tuple[EpochEntry, ...]]) -> tuple[EpochEntry, ...]:
    """The mean curve; a fold that stopped early goes on with its last entry."""
    last = max(len(curve) for curve in curves)
    return tuple(_mean_entry([curve[min(e, len(curve) - 1)] for curve in curves], e + 1) for e in range(last))


def _mean_entry(entries: Sequence[EpochEntry], epoch: int) -> EpochEntry:
    scalars = [e.model_dump(include={"train_loss", "learning_rate"}, exclude_none=True) for e in entries]
    parts = {part: means([getattr(e, part) for e in entries]) for part in ("validation", "test")}
    return EpochEntry(epoch=epoch, **means(scalars), **parts)


def _final(finals: Sequence[FinalMetrics], data_set: DataSet) -> FinalMetrics:
    matrices = [final.confusion for final in finals if final.confusion is not None]
    summed = np.sum(matrices, axis=0) if len(matrices) == len(finals) else None
    if summed is not None and data_set.task == "classification":
        per_class = per_class_metrics(summed, data_set.classes)
    else:
        tables = [final.per_class for final in finals]
        per_class = {name: means([t[name] for t in tables if name in t]) for name in _names(tables)}
    return FinalMetrics(
        metrics=means([final.metrics for final in finals]),
        standard_error=combined_errors([final.standard_error for final in finals]),
        interval=combined_intervals(finals),
        per_class=per_class,
        confusion=None if summed is None else tuple(tuple(int(n) for n in row) for row in summed),
    )


def combined_errors(errors: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Standard error of a mean over folds that test different images: sqrt(Σ se²) / K over the K folds that have one."""
    return {name: combined_standard_error([e[name] for e in errors if name in e]) for name in _names(errors)}


def combined_intervals(finals: Sequence[FinalMetrics]) -> dict[str, tuple[float, float]]:
    """95 % intervals of the means over folds: their halves are combined as standard errors are, below and above apart."""
    found = {}
    for name in _names([final.interval for final in finals]):
        known = [(final.metrics[name], *final.interval[name]) for final in finals if name in final.interval]
        middle = fmean(value for value, _, _ in known)
        below = combined_standard_error([value - low for value, low, _ in known])
        above = combined_standard_error([high - value for value, _, high in known])
        found[name] = (middle - below, middle + above)
    return found


def mean_grid(grids: Sequence[tuple[GridPoint, ...]]) -> tuple[GridPoint, ...]:
    """Each combination of settings once, with its mean over the folds that could measure it."""
    found: dict[str, list[GridPoint]] = {}
    for point in (point for grid in grids for point in grid):
        found.setdefault(json.dumps(point.settings, sort_keys=True), []).append(point)
    return tuple(
        GridPoint(settings=points[0].settings, validation=fmean(known) if known else None)
        for points in found.values()
        for known in [[point.validation for point in points if point.validation is not None]]
    )
