"""One measured cell: a pair on a data set, averaged over its seeds; and which runs may be averaged at all."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import NamedTuple

from lib.records import RunRecord
from lib.records.schema import MASK_PROBE, PROBE_BACKBONES, PROBE_HEADS, Metric, column_of

Key = Callable[[RunRecord], Hashable]


class Pair(NamedTuple):
    """One backbone with one head; a fine-tuned pair is another pair than the frozen one."""

    backbone: str
    head: str

    @property
    def label(self) -> str:
        """How tables name it."""
        return f"{self.backbone} × {self.head}"


PROBE_PAIRS = tuple(Pair(backbone, head) for backbone in PROBE_BACKBONES for head in PROBE_HEADS)
MASK_PROBE_PAIRS = (Pair(*MASK_PROBE),)
"""What `recommend.py --probe` measures on a folder before it answers; in judging, what is revealed of a left-out set."""


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

    @property
    def chosen_by(self) -> float:
        """Its quality on the validation parts where they were measured."""
        return self.quality if self.validation is None else self.validation


def cell_of(runs: Sequence[RunRecord], family: str, epoch: int, metric: Metric) -> Cell:
    """The cell of runs of one pair on one data set; folds are known after the last epoch only."""
    at = [(run, min(epoch, run.recipe.epochs)) for run in runs]
    ended = all(last == run.recipe.epochs for run, last in at)
    by_fold = [run.fold_qualities(metric) for run in runs] if ended else [{}]
    quality = mean_known(run.quality(last, metric) for run, last in at)
    assert quality is not None
    return Cell(
        data_set=runs[0].data_set.name,
        family=family,
        pair=pair_of(runs[0]),
        quality=quality,
        validation=mean_known(run.quality(last, metric, "validation") for run, last in at),
        standard_error=mean_known(run.standard_error(metric) for run in runs),
        folds={k: fmean(f[k] for f in by_fold) for k in sorted(set.intersection(*map(set, by_fold)))},
        n_runs=len(runs),
    )


def mean_known(values: Iterable[float | None]) -> float | None:
    """The mean of the values that are known; None where none is."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def consistent_runs(runs: Sequence[RunRecord]) -> tuple[list[RunRecord], list[str]]:
    """The runs that may stand in one table, and a sentence for each sort that was left out.

    Of a data set: the images and the division that most pairs ran on. Of a pair on it: the recipe, weights and head's
    version that most data sets have for that pair, then the one with most folds. Ties: the newest.
    """
    divided = _of_one_kind(runs, _set_of, _division, pair_of)
    kept = _of_one_kind(divided, lambda run: (_set_of(run), pair_of(run)), _recipe, _set_of)
    return kept, [
        *_left_out(runs, divided, "on other images or another division than most pairs of their data set"),
        *_left_out(divided, kept, "of another recipe, other weights or another version of the head"),
    ]


def _set_of(run: RunRecord) -> str:
    return run.data_set.name


def _division(run: RunRecord) -> Hashable:
    return run.data_set.fingerprint, run.data_set.split, run.data_set.split_hash


def _recipe(run: RunRecord) -> Hashable:
    weights = run.backbone.weights_hash, run.backbone.input_hash
    return pair_of(run), run.recipe.model_dump_json(), weights, run.head.version


def _of_one_kind(runs: Sequence[RunRecord], place: Key, kind: Key, covered: Key) -> list[RunRecord]:
    """Of the runs of each place those of the kind that covers most, in their order."""
    kinds = [kind(run) for run in runs]
    cover = Counter(k for k, _ in {(k, covered(run)) for k, run in zip(kinds, runs, strict=True)})
    best: dict[Hashable, tuple[tuple[int, int, str], Hashable]] = {}
    for run, own in zip(runs, kinds, strict=True):
        merit = (cover[own], len(run.folds), run.environment.started_at)
        if place(run) not in best or merit > best[place(run)][0]:
            best[place(run)] = merit, own
    return [run for run, own in zip(runs, kinds, strict=True) if own == best[place(run)][1]]


def _left_out(before: Sequence[RunRecord], after: Sequence[RunRecord], why: str) -> list[str]:
    if len(before) == len(after):
        return []
    kept = {id(run) for run in after}
    names = sorted({_set_of(run) for run in before if id(run) not in kept})
    shown = ", ".join(names[:4]) + (" …" if len(names) > 4 else "")
    return [f"{len(before) - len(after)} runs left out, {why}: {shown}"]


def nothing_to_tune(runs: Sequence[RunRecord]) -> dict[Pair, str]:
    """Fine-tuned pairs of backbones without weights, which need no run to be known not to work."""
    fixed = {run.backbone.name for run in runs if run.backbone.weights_origin == "none"}
    tuned = {pair_of(run).head for run in runs if run.recipe.finetune}
    return {Pair(name, column): f"{name} has no weights to fine-tune" for name in fixed for column in tuned}


def cells_of(
    runs: Iterable[RunRecord], families: Mapping[str, str], epoch: int, metric: Metric
) -> tuple[Cell, ...]:
    """The cells of the runs, by data set and pair."""
    of_cell: defaultdict[tuple[str, Pair], list[RunRecord]] = defaultdict(list)
    for run in runs:
        of_cell[run.data_set.name, pair_of(run)].append(run)
    return tuple(cell_of(own, families[name], epoch, metric) for (name, _), own in sorted(of_cell.items()))
