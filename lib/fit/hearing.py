"""What is heard while a fit searches: answers kept, a journal written, a line for whoever watches, an end when time is up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lib.benchmark.folds import TrainedFold
from lib.benchmark.listening import Listener
from lib.benchmark.plan import Cell
from lib.fit.place import Place
from lib.performance_prediction.boosting.cells import pair_of
from lib.recommendation.budget_policy import Outlook
from lib.records import EpochEntry, RunRecord
from lib.records.intervals import interval
from lib.records.schema import Metric

AGAIN = 1.3  # trainings of one fold that training again on everything takes


class OutOfTime(KeyboardInterrupt):
    """The budget is spent: the running cell ends as Ctrl-C would end it."""


@dataclass
class Watch:
    """Whoever watches a fit: `line` for what stays, `status` for what is going on, in words."""

    line: Callable[[str], None] = lambda sentence: None
    status: Callable[[str], None] = lambda sentence: None


@dataclass
class Hearing(Listener):
    """Keeps the answers of every trained cell, writes the journal, and ends a cell when time is up. `again_s`: what training the
    dearest pair that may win once more will take, which has to be left in the end."""

    place: Place
    metric: Metric
    spent: Callable[[], float]
    end_s: float
    watch: Watch
    outlook: Outlook | None = None
    again_s: float = 0.0

    def left_s(self) -> float:
        """Seconds left to search."""
        return self.end_s - self.again_s - self.spent()

    def _go_on(self) -> None:
        if self.left_s() < 0:
            raise OutOfTime

    def features_progress(self, cell: Cell, done: int, total: int) -> None:
        self._go_on()
        self.watch.status(f"{cell.backbone.name}: {done} of {total} images; {self._left()}")

    def cell_starts(self, cell: Cell) -> None:
        self._go_on()
        self.watch.status(f"{cell.backbone.name} × {cell.column}; {self._left()}")

    def epoch_ends(self, cell: Cell, entry: EpochEntry) -> None:
        self._go_on()
        if cell.recipe.finetune or cell.data_set.task == "segmentation":
            self.watch.status(f"{cell.backbone.name} × {cell.column}, epoch {entry.epoch}; {self._left()}")

    def cell_trained(self, cell: Cell, folds: Sequence[TrainedFold]) -> None:
        self.place.write_answers(cell.key, folds)

    def cell_ends(self, cell: Cell, record: RunRecord) -> None:
        entry = journal_entry(record, self.metric, self.spent(), self.place.journal)
        self.place.journal.append(entry)
        may_win = not record.recipe.finetune or entry["quality"] == entry["best_so_far"]
        if record.folds and may_win:
            seconds = record.timing.training_s + record.timing.evaluation_s
            self.again_s = max(self.again_s, AGAIN * seconds / len(record.folds))
        self.place.keep(self.spent())
        self.watch.line(self._told(entry, record))

    def _left(self) -> str:
        return f"{max(self.left_s(), 0):.0f} s left to search"

    def _told(self, entry: dict[str, Any], record: RunRecord) -> str:
        when = f"{entry['seconds']:6.1f} s  {entry['pair']}"
        if entry["quality"] is None:
            return f"{when}: {record.status}: {record.reason}"
        best = f"best so far {entry['best_so_far']:.4f}"
        return f"{when}: {self.metric} {_with_interval(entry)}; {best}{self._expected()}"

    def _expected(self) -> str:
        one = self.outlook
        if one is None or one.remaining_best is None or one.found is None or not one.remaining:
            return ""
        return (
            f"; {one.remaining} pairs left, the best of them expected at {one.remaining_best:.4f}, better than what is found with "
            f"probability {1 - one.found:.2f}"
        )


def _with_interval(entry: dict[str, Any]) -> str:
    if entry["low"] is None:
        return f"{entry['quality']:.4f}"
    return f"{entry['quality']:.4f} ({entry['low']:.3f} to {entry['high']:.3f})"


def journal_entry(
    record: RunRecord, metric: Metric, seconds: float, before: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """What a record says of its pair, on the images that the folds put aside in turn; 95 % interval."""
    quality, error = record.quality(metric=metric), record.standard_error(metric)
    low, high = interval(quality, error)
    known = [one["quality"] for one in before if one["quality"] is not None]
    return {
        "seconds": round(seconds, 1),
        "pair": pair_name(record),
        "what": "fine-tuned" if record.recipe.finetune else "frozen",
        "quality": quality,
        "low": low,
        "high": high,
        "best_so_far": max([*known, *([] if quality is None else [quality])], default=None),
    }


def pair_name(record: RunRecord) -> str:
    """`backbone × head`, with `(fine-tuned)` where it is."""
    return pair_of(record).label
