"""Watching a sweep: a live table on a terminal, one line a cell elsewhere."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.text import Text

from lib.benchmark.listening import Listener
from lib.benchmark.plan import Cell, Plan
from lib.records import EpochEntry, RunRecord
from lib.records.schema import PRIMARY_METRIC
from lib.reporting.tables import readable_seconds, table_of, with_error

CELLS_SHOWN = 12


@dataclass
class TimeLeft:
    """Seconds left: the plan's estimates, corrected by how long the finished cells really took."""

    estimates: dict[str, float]
    spent_s: float = 0.0
    expected_s: float = 0.0

    @classmethod
    def of(cls, plan: Plan) -> TimeLeft:
        """The estimates of the cells to run; a group's features count with the first of its cells."""
        features = dict(plan.features_s)
        cells = [planned for planned in plan.cells if planned.to_run]
        return cls({p.cell.key: p.estimated_s + features.pop(p.cell.group, 0.0) for p in cells})

    def cell_done(self, cell: Cell, seconds: float) -> None:
        """Takes a finished cell out of what is left."""
        self.expected_s += self.estimates.pop(cell.key, 0.0)
        self.spent_s += seconds

    def seconds(self) -> float:
        """What the remaining cells will take."""
        correction = self.spent_s / self.expected_s if self.expected_s > 0 else 1.0
        return correction * sum(self.estimates.values())


def outcome_of(record: RunRecord) -> str:
    """`accuracy 0.9850 ± 0.0100` on the test parts, or the status and the reason."""
    if record.status != "finished":
        return f"{record.status}: {record.reason}"
    quality = record.quality()
    measured = (
        "not measured"
        if quality is None
        else f"{record.metric_name} {with_error(quality, record.standard_error())}"
    )
    return measured + ", RANDOM WEIGHTS" * (record.backbone.weights_origin == "random")


class _Clock(Listener):
    """Counts cells and time for both ways of watching."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self.now = now
        self.total = self.done = 0
        self.left = TimeLeft({})
        self.began: dict[str, float] = {}
        self.last_end = now()

    def sweep_starts(self, plan: Plan) -> None:
        self.total = sum(planned.to_run for planned in plan.cells)
        self.left = TimeLeft.of(plan)
        self.last_end = self.now()

    def cell_starts(self, cell: Cell) -> None:
        self.began[cell.key] = self.now()

    def cell_ends(self, cell: Cell, record: RunRecord) -> None:
        self.done += 1
        # Between two ends, not from start to end: where several cells run at once, the sweep is so much faster.
        self.left.cell_done(cell, self.now() - self.last_end)
        self.last_end = self.now()

    def seconds_of(self, cell: Cell) -> str:
        """How long a cell that ended now has run, in words."""
        return readable_seconds(self.now() - self.began.pop(cell.key, self.now()))

    def cell_skipped(self, cell: Cell) -> None:
        self.done += 1
        self.left.cell_done(cell, 0.0)


class PlainLines(_Clock):
    """One line a finished cell, for logs and pipes."""

    def __init__(self, write: Callable[[str], None], now: Callable[[], float] = time.perf_counter) -> None:
        super().__init__(now)
        self.write = write

    def cell_ends(self, cell: Cell, record: RunRecord) -> None:
        """Writes place, cell, outcome, seconds and the time left."""
        super().cell_ends(cell, record)
        seconds = self.seconds_of(cell)
        left = f", {readable_seconds(self.left.seconds())} left" if self.done < self.total else ""
        self.write(f"[{self.done}/{self.total}] {cell}: {outcome_of(record)} ({seconds}{left})")

    def told(self, sentence: str) -> None:
        """Writes it."""
        self.write(sentence)

    def cell_skipped(self, cell: Cell) -> None:
        """Says that another process was quicker."""
        super().cell_skipped(cell)
        self.write(f"[{self.done}/{self.total}] {cell}: finished by another sweep meanwhile")


class LiveTable(_Clock):
    """The last cells, the running one with its epochs, and a bar with the time left."""

    def __init__(self, live: Live) -> None:
        super().__init__()
        self.live = live
        self.rows: deque[tuple[str, str, str]] = deque(maxlen=CELLS_SHOWN)
        self.running: dict[str, str] = {}
        self.fold = ""

    def sweep_starts(self, plan: Plan) -> None:
        """Shows the empty table."""
        super().sweep_starts(plan)
        self.live.update(self._picture())

    def features_progress(self, cell: Cell, done: int, total: int) -> None:
        """Shows how many images the backbone has seen."""
        self._show(cell, f"features {done}/{total} images")

    def cell_starts(self, cell: Cell) -> None:
        """Shows the cell as running."""
        super().cell_starts(cell)
        self._show(cell, "starts")

    def fold_starts(self, cell: Cell, place: int, of: int) -> None:
        """Remembers which fold the epochs belong to."""
        self.fold = f"fold {place} of {of}" if of > 1 else ""
        self._show(cell, self.fold or "starts")

    def epoch_ends(self, cell: Cell, entry: EpochEntry) -> None:
        """Shows the fold, the epoch and its quality on the validation part."""
        quality = entry.validation.get(PRIMARY_METRIC[cell.data_set.task])
        measured = "" if quality is None else f"validation {quality:.4f}"
        steps = (self.fold, f"epoch {entry.epoch}/{cell.recipe.epochs}", measured)
        self._show(cell, ", ".join(filter(None, steps)))

    def cell_ends(self, cell: Cell, record: RunRecord) -> None:
        """Moves the cell to the finished ones."""
        super().cell_ends(cell, record)
        self.rows.append((str(cell), outcome_of(record), self.seconds_of(cell)))
        self.running.pop(str(cell), None)
        self.live.update(self._picture())

    def told(self, sentence: str) -> None:
        """Prints it above the table."""
        self.live.console.print(sentence)

    def _show(self, cell: Cell, step: str) -> None:
        self.running[str(cell)] = step
        self.live.update(self._picture())

    def _picture(self) -> RenderableType:
        table = table_of(("cell", "outcome", "time"), self.rows, expand=True)
        for cell, step in self.running.items():
            table.add_row(*map(Text, (cell, step, "…")), style="bold")
        left = readable_seconds(self.left.seconds())
        line = Text(f"{self.done} of {self.total} cells, {left} left")
        return Group(table, ProgressBar(total=max(self.total, 1), completed=self.done), line)


class OneLine(Listener):
    """What runs now, through `write`: for work of a few minutes that leaves no records."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self.write = write

    def features_progress(self, cell: Cell, done: int, total: int) -> None:
        """How many images the backbone has seen."""
        self.write(f"{cell}: features {done}/{total} images")

    def fold_starts(self, cell: Cell, place: int, of: int) -> None:
        """The cell and its fold."""
        self.write(f"{cell}: fold {place} of {of}")


@contextmanager
def on_one_line(console: Console) -> Iterator[Listener]:
    """A line that changes on a terminal; elsewhere nothing."""
    with console.status("…") as status:
        yield OneLine(lambda line: status.update(escape(line)))


@contextmanager
def watching(console: Console, write: Callable[[str], None]) -> Iterator[Listener]:
    """A live table where `console` is a terminal, else plain lines through `write`."""
    if not console.is_terminal:
        yield PlainLines(write)
        return
    with Live(console=console, refresh_per_second=8) as live:
        yield LiveTable(live)
