"""A budget of seconds as an ordering of the sweep: a policy says which cell is worth its time most, asked again after each."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from lib.benchmark.plan import Plan, PlannedCell
from lib.benchmark.sweep import Remaining
from lib.clock import seconds_of as seconds_of
from lib.records import RunRecord

Rank = Callable[[Sequence[PlannedCell], Sequence[RunRecord]], Sequence[int]]
"""Cells and the finished records on their data sets → positions, the one to run first in front."""


@dataclass
class Within:
    """The policy's first cell that is expected to end within the budget. `stopped`: why no further cell was started. The clock
    starts with the first question. Where cells take longer than expected, those to come are expected to as well."""

    budget_s: float
    rank: Rank
    now: Callable[[], float] = time.perf_counter
    stopped: str = "every cell of the grid is done"
    started: float | None = None
    _running: tuple[float, float] | None = None  # when the last cell began, and what it was expected to take
    _taken_s: float = 0.0
    _expected_s: float = 0.0

    def next(self, remaining: Sequence[PlannedCell], finished: Sequence[RunRecord]) -> PlannedCell | None:
        """Asks the policy; None where nothing that is left is expected to fit."""
        if self._running:
            self._taken_s += self.now() - self._running[0]
            self._expected_s += self._running[1]
            self._running = None
        ranked, slowness = self.rank(remaining, finished), self.slowness()
        left = self.budget_s - self.spent_s()
        chosen = next((remaining[i] for i in ranked if remaining[i].cost_s * slowness <= left), None)
        if chosen is None:
            cheapest = slowness * min(one.cost_s for one in remaining)
            self.stopped = (
                f"{max(left, 0):.0f} s are left, the cheapest cell is expected to take {cheapest:.1f} s"
            )
        else:
            self._running = self.now(), chosen.cost_s
        return chosen

    def spent_s(self) -> float:
        """Seconds since the first question."""
        self.started = self.now() if self.started is None else self.started
        return self.now() - self.started

    def slowness(self) -> float:
        """How much longer cells have taken than expected so far; at least 1, so that luck is not spent beforehand."""
        return max(self._taken_s / self._expected_s, 1.0) if self._expected_s else 1.0


def expected_order(plan: Plan, rank: Rank, finished: Sequence[RunRecord], budget_s: float) -> Plan:
    """The plan with only the cells that would be run if each came out as expected, in their order and at their price: what
    --dry-run shows. Later choices depend on results."""
    remaining, left, chosen = Remaining(plan), budget_s, []
    cells = remaining.cells
    for index in rank(cells, finished):
        now = next(one for one in remaining.cells if one.cell is cells[index].cell)
        if now.cost_s <= left:
            remaining.take(now)
            left -= now.cost_s
            chosen.append(replace(now, estimated_s=now.cost_s, features_s=0.0))
    return replace(plan, cells=tuple(chosen), features_s={})
