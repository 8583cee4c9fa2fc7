"""Qualities with their intervals on one common scale, as rows of a page draw them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lib.recommendation.answer import Candidate

START, END = 6, 184
LEAST_SPAN = 0.02


@dataclass(frozen=True)
class RankedLine:
    """A pair as it is listed: what it reaches, from `low` to `high` (None: no interval), and what that rests on."""

    pair: str
    value: float
    low: float | None
    high: float | None
    basis: str
    equal: bool = False
    latency_ms: float | None = None
    parameters: float | None = None
    training_s: float | None = None
    evidence: str = ""


@dataclass(frozen=True)
class Scale:
    """From qualities to places in a row; `chance` is drawn where it lies on it."""

    low: float
    high: float
    chance: float | None = None

    def place(self, value: float) -> float:
        """Where `value` lies, held within the ends."""
        share = (value - self.low) / (self.high - self.low)
        return round(START + (END - START) * min(max(share, 0.0), 1.0), 1)


def scale_of(lines: Iterable[RankedLine], chance: float | None = None) -> Scale:
    """From just below the lowest to just above the highest of all ends, within [0, 1]."""
    ends = [end for line in lines for end in (line.low, line.high, line.value) if end is not None]
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    room = max(0.06 * (high - low), LEAST_SPAN)
    low, high = max(low - room, 0.0), min(high + room, 1.0)
    return Scale(low, high, chance if chance is not None and low <= chance <= high else None)


def candidate_lines(candidates: Sequence[Candidate]) -> list[RankedLine]:
    """The pairs of a recommendation."""
    return [candidate_line(one.model_dump()) for one in candidates]


def candidate_line(row: Mapping[str, Any]) -> RankedLine:
    """A pair as `recommend.py --json` writes it; what is missing is left empty."""
    cost = row.get("cost") or {}
    return RankedLine(
        pair=f"{row.get('backbone', '?')} × {row.get('head', '?')}",
        value=row.get("quality", float("nan")),
        low=row.get("low"),
        high=row.get("high"),
        basis=row.get("basis", "predicted"),
        equal=bool(row.get("equal")),
        latency_ms=cost.get("latency_ms"),
        parameters=cost.get("parameters"),
        training_s=cost.get("training_s"),
        evidence=row.get("evidence", ""),
    )
