"""Runs on a tenth or a third of a set's training part: kept apart from the table of sets, they tell what more images bring."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lib.performance_prediction.boosting.cells import Cell, cells_of
from lib.records import DataSetInfo, RunRecord
from lib.records.schema import Metric

_VIEW = re.compile(r"train\d+")


@dataclass(frozen=True)
class View:
    """A pair on a part of a set's training images, tested on the same images as the whole. `whole`: the set's name; `n_train`: images of
    its mean fold here, `n_whole`: of the whole's."""

    cell: Cell
    whole: str
    n_train: int
    n_whole: int


def parted_views(runs: Sequence[RunRecord]) -> tuple[list[RunRecord], list[RunRecord]]:
    """The runs on whole sets, and those on a part of the training images of one of them."""
    names = {run.data_set.name for run in runs}
    apart = [
        run
        for run in runs
        if _VIEW.fullmatch(run.data_set.derivation or "") and _whole(run.data_set) in names
    ]
    kept = {id(run) for run in apart}
    return [run for run in runs if id(run) not in kept], apart


def _whole(info: DataSetInfo) -> str:
    return info.name.rpartition("@")[0]


def views_of(
    apart: Sequence[RunRecord],
    whole: Sequence[RunRecord],
    families: Mapping[str, str],
    epoch: int,
    metric: Metric,
) -> tuple[View, ...]:
    """The cells of runs that `parted_views` put apart."""
    infos = {run.data_set.name: run.data_set for run in (*whole, *apart)}
    return tuple(
        View(cell, name, infos[cell.data_set].n_train, infos[name].n_train)
        for cell in cells_of(apart, families, epoch, metric)
        for name in [_whole(infos[cell.data_set])]
    )
