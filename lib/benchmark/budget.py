"""A budget of seconds as an ordering of the sweep: a policy says which cell is worth its time most, asked again after each."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from lib.benchmark.plan import Plan
from lib.benchmark.sweep import PricedCell, Remaining
from lib.errors import CvAutomlError
from lib.records import RunRecord

UNITS_S = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}

Rank = Callable[[Sequence[PricedCell], Sequence[RunRecord]], Sequence[int]]
"""Cells and the finished records on their data sets → positions, the one to run first in front."""


def seconds_of(text: str) -> float:
    """`90`, `90s`, `30m`, `1.5h`, `1h30m` → seconds; raises CvAutomlError for anything else and for 0."""
    pieces = re.findall(r"(\d+(?:\.\d+)?)\s*(h|min|m|s|)", text.strip().lower())
    whole = re.fullmatch(r"(\s*\d+(\.\d+)?\s*(h|min|m|s)\s*)+|\s*\d+(\.\d+)?\s*", text.lower())
    total = sum(float(number) * UNITS_S[unit] for number, unit in pieces)
    if not whole or total <= 0:
        raise CvAutomlError(
            f"a budget of '{text}': expected a time such as 90s, 30m, 2h, 1h30m or plain seconds"
        )
    return total


@dataclass
class Within:
    """The policy's first cell that is expected to end within the budget. `stopped`: why no further cell was started.

    The clock starts with the first question. Where cells take longer than expected, those to come are expected to as well.
    """

    budget_s: float
    rank: Rank
    now: Callable[[], float] = time.perf_counter
    stopped: str = "every cell of the grid is done"
    started: float | None = None
    _running: list[tuple[float, float]] = field(
        default_factory=list
    )  # (began, expected to take) of the last cell
    _taken_s: float = 0.0
    _expected_s: float = 0.0

    def next(self, remaining: Sequence[PricedCell], finished: Sequence[RunRecord]) -> PricedCell | None:
        """Asks the policy; None where nothing that is left is expected to fit."""
        self._count()
        ranked, slowness = self.rank(remaining, finished), self.slowness()
        left = self.budget_s - self.spent_s()
        chosen = next((remaining[i] for i in ranked if remaining[i].cost_s * slowness <= left), None)
        if chosen is None:
            cheapest = slowness * min(one.cost_s for one in remaining)
            self.stopped = (
                f"{max(left, 0):.0f} s are left, the cheapest cell is expected to take {cheapest:.1f} s"
            )
        else:
            self._running = [(self.now(), chosen.cost_s)]
        return chosen

    def spent_s(self) -> float:
        """Seconds since the first question."""
        self.started = self.now() if self.started is None else self.started
        return self.now() - self.started

    def slowness(self) -> float:
        """How much longer cells have taken than expected so far; at least 1, so that luck is not spent beforehand."""
        return max(self._taken_s / self._expected_s, 1.0) if self._expected_s else 1.0

    def _count(self) -> None:
        for began, expected_s in self._running:
            self._taken_s += self.now() - began
            self._expected_s += expected_s
        self._running = []


def expected_order(plan: Plan, rank: Rank, finished: Sequence[RunRecord], budget_s: float) -> Plan:
    """The plan with only the cells that would be run if each came out as expected, in their order and at their price: what
    --dry-run shows. Later choices depend on results."""
    remaining, left, chosen = Remaining.of(plan), budget_s, []
    cells = list(remaining.cells)
    for index in rank(remaining.priced(), finished):
        cost_s = remaining.price(cells[index]).cost_s
        if cost_s <= left:
            remaining.take(cells[index].cell)
            left -= cost_s
            chosen.append(replace(cells[index], estimated_s=cost_s))
    return replace(plan, cells=tuple(chosen), features_s={})
