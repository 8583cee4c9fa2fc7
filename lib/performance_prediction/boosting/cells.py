"""One measured cell: a pair on a data set, averaged over its seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import NamedTuple

from lib.records import RunRecord
from lib.records.schema import Metric, column_of


class Pair(NamedTuple):
    """One backbone with one head; a fine-tuned pair is another pair than the frozen one."""

    backbone: str
    head: str

    @property
    def label(self) -> str:
        """How tables name it."""
        return f"{self.backbone} × {self.head}"


def pair_of(record: RunRecord) -> Pair:
    """The pair a run belongs to."""
    return Pair(record.backbone.name, column_of(record.head.name, record.recipe.finetune))


@dataclass(frozen=True)
class Cell:
    """One pair measured on one data set, means over its seeds.

    `quality` on the test parts, `validation` on the validation parts (what choices are made by), `standard_error` of the
    quality with other test images, `folds`: fold → quality on its test part. Empty or None where it was not measured.
    """

    data_set: str
    family: str
    pair: Pair
    quality: float
    validation: float | None = None
    standard_error: float | None = None
    folds: Mapping[int, float] = field(default_factory=dict)
    n_runs: int = 1


def cell_of(runs: Sequence[RunRecord], family: str, epoch: int, metric: Metric) -> Cell:
    """The cell of runs of one pair on one data set; folds are known after the last epoch only."""
    at = [min(epoch, run.recipe.epochs) for run in runs]
    ended = all(e == run.recipe.epochs for e, run in zip(at, runs, strict=True))
    by_fold = [run.fold_qualities(metric) for run in runs] if ended else []
    quality = mean_known(run.quality(e, metric) for e, run in zip(at, runs, strict=True))
    assert quality is not None
    return Cell(
        data_set=runs[0].data_set.name,
        family=family,
        pair=pair_of(runs[0]),
        quality=quality,
        validation=mean_known(run.quality(e, metric, "validation") for e, run in zip(at, runs, strict=True)),
        standard_error=mean_known(run.standard_error(metric) for run in runs),
        folds={
            k: fmean(f[k] for f in by_fold)
            for k in sorted(set.intersection(*map(set, by_fold)) if by_fold else ())
        },
        n_runs=len(runs),
    )


def mean_known(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
