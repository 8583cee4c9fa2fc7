"""Groups of cells on many workers, records by one writer: an engine runs tasks and tells what comes of them, here it is written.

A worker that is lost costs the cell it was at: what it told before is written, the rest of its group is given out again, and a
cell that lost its worker more than `max_retries` times becomes a failed record that says so.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from lib.benchmark.cell_run import lost_record
from lib.benchmark.groups import Group
from lib.benchmark.listening import Listener
from lib.benchmark.plan import Cell, Plan
from lib.benchmark.sweep import Desk, Sweep, save_record
from lib.benchmark.worker import Task, Told
from lib.config import Settings
from lib.datasets import DataSet
from lib.files import require_writable
from lib.records import RecordStore, RunRecord
from lib.zoo.devices import choose_device, environment

MAX_RETRIES = 2


@dataclass(frozen=True)
class Event:
    """What became of task `number`: it told something of a cell, its worker was lost, or (neither) it came to its end."""

    number: int
    told: Told | None = None
    lost: str | None = None


class Engine(Protocol):
    """Workers somewhere. Raises CvAutomlError from `wait` where going on makes no sense."""

    worker_settings: Settings

    def room(self) -> bool:
        """Whether one more task would be begun soon."""

    def start(self, number: int, task: Task, memory_mb: float) -> None:
        """Hands a task to a worker; `memory_mb`: of main memory that it will need."""

    def wait(self) -> Event:
        """The next event of the running tasks, of which there is one at least."""

    def stop(self) -> None:
        """Ends every task and every worker that was started for it, whatever they are doing."""


@dataclass
class _Running:
    """A task that a worker has: the cells it still owes, and the one it is at."""

    group: Group
    owed: list[Cell]
    at: Cell | None = None


@dataclass
class _Driver:
    desk: Desk
    engine: Engine
    listener: Listener
    max_retries: int
    waiting: deque[Group]
    running: dict[int, _Running] = field(default_factory=dict)
    lost: Counter[str] = field(default_factory=Counter)
    written: list[RunRecord] = field(default_factory=list)
    started: int = 0

    def run(self) -> None:
        while self.waiting or self.running:
            while self.waiting and self.engine.room():
                self.give_out(self.waiting.popleft())
            if self.running:
                self.hear(self.engine.wait())

    def give_out(self, group: Group) -> None:
        """To a worker, less what another sweep on the same folder finished since the plan was made."""
        cells = [cell for cell in group.cells if not self.desk.finished_meanwhile(cell, self.listener)]
        if cells:
            self.started += 1
            self.running[self.started] = _Running(group, cells)
            data_set = self.desk.data_sets[cells[0].group[:2]]
            task = Task.of(tuple(cells), data_set, self.engine.worker_settings)
            self.engine.start(self.started, task, group.memory_mb)

    def hear(self, event: Event) -> None:
        running = self.running[event.number]
        if event.told and event.told[1] is None:
            running.at = running.owed[0]
            self.listener.cell_starts(running.at)
        elif event.told and event.told[1]:
            self.write(running.owed.pop(0), event.told[1])
            running.at = None
        else:
            del self.running[event.number]
            if running.owed:
                self.give_again(running, event.lost or "its worker ended early")

    def give_again(self, running: _Running, reason: str) -> None:
        """What a lost worker owed; not its current cell where that has lost too many workers."""
        cell = running.at or running.owed[0]
        self.lost[cell.key] += 1
        if self.lost[cell.key] > self.max_retries:
            times = f"{self.lost[cell.key]} times"
            where = environment(choose_device(self.desk.settings.device))
            self.write(
                cell, lost_record(cell, f"its worker was lost {times}, the last time: {reason}", where)
            )
            running.owed.remove(cell)
        if running.owed:
            rest = Group(tuple(running.owed), running.group.expected_s, running.group.memory_mb)
            self.waiting.appendleft(rest)

    def write(self, cell: Cell, record: RunRecord) -> None:
        self.desk.know(cell.group[:2])
        save_record(self.desk.store, record)
        self.written.append(record)
        self.listener.cell_ends(cell, record)


def run_groups(
    plan: Plan,
    groups: Sequence[Group],
    data_sets: Mapping[tuple[str, str], DataSet],
    settings: Settings,
    engine: Engine,
    listener: Listener | None = None,
    max_retries: int = MAX_RETRIES,
) -> Sweep:
    """Runs the groups in their order on the engine's workers, and stops the engine whatever happens. `data_sets`: (name,
    fingerprint) → data set. Raises CvAutomlError where records cannot be written or workers see other files than the plan."""
    listener = listener or Listener()
    try:
        require_writable(settings.runs_dir, "records", "--runs")
        desk = Desk(data_sets, settings, RecordStore(settings.runs_dir))
        incompatible = [*desk.write_incompatible(plan)]
        driver = _Driver(desk, engine, listener, max_retries, deque(groups))
        listener.sweep_starts(plan)
        driver.run()
    finally:
        engine.stop()
    return Sweep((*incompatible, *driver.written), tuple(dict.fromkeys(desk.warnings)))
