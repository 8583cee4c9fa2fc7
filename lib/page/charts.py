"""Charts as geometry: marks in units of the data in, places on a small canvas out; a template draws them and escapes every name."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 380, 260
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 10, 40
MARGIN = 0.05
STEPS = (1, 2, 5)
FEW = 4  # ticks on a logarithmic axis; of fewer decades their multiples are written too


@dataclass(frozen=True)
class Mark:
    """A point in units of the data. `label`: what hovering says; `kind`: measured, completed or predicted, told apart by form."""

    x: float
    y: float
    label: str = ""
    kind: str = "measured"


@dataclass(frozen=True)
class Series:
    """Marks that belong together; `joined` by a line (in steps: a front), with a form at each mark where it is `marked`."""

    name: str
    marks: tuple[Mark, ...]
    joined: bool = False
    marked: bool = True
    stepped: bool = False


@dataclass(frozen=True)
class Chart:
    """What a chart shows. `diagonal`: where x = y; `level`: a horizontal line, e.g. of chance, with its name."""

    title: str
    x_name: str
    y_name: str
    series: tuple[Series, ...]
    log_x: bool = False
    diagonal: bool = False
    level: float | None = None
    level_name: str = ""


@dataclass(frozen=True)
class Tick:
    """A place along an axis and what is written there."""

    place: float
    text: str


@dataclass(frozen=True)
class Dot:
    """A mark on the canvas."""

    x: float
    y: float
    label: str
    kind: str


@dataclass(frozen=True)
class Stroke:
    """A series on the canvas; `place` among all series of the chart, drawn or not: its colour; `line`: an SVG polyline's points,
    empty where it is not joined."""

    place: int
    name: str
    line: str
    dots: tuple[Dot, ...]
    joined: bool


@dataclass(frozen=True)
class Drawing:
    """A chart on a canvas of `width` × `height`, its axes at `left` and `bottom`."""

    chart: Chart
    width: int
    height: int
    left: float
    right: float
    top: float
    bottom: float
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    strokes: tuple[Stroke, ...]
    level: float | None
    diagonal: tuple[float, float, float, float] | None


@dataclass(frozen=True)
class _Axis:
    """From values to places: `low`, `high` in (logarithms of) units, `start`, `end` on the canvas."""

    low: float
    high: float
    start: float
    end: float
    log: bool

    def place(self, value: float) -> float:
        share = ((math.log10(value) if self.log else value) - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self) -> tuple[Tick, ...]:
        values = _log_ticks(self.low, self.high) if self.log else linear_ticks(self.low, self.high)
        return tuple(Tick(self.place(value), written(value)) for value in values)


def drawing(chart: Chart) -> Drawing | None:
    """The chart on its canvas; None where it has no mark that can be placed."""
    series = [
        (k, one, tuple(m for m in one.marks if _placeable(m, chart.log_x)))
        for k, one in enumerate(chart.series)
    ]
    marks = [mark for _, _, some in series for mark in some]
    if not marks:
        return None
    levels = [chart.level] if chart.level is not None else []
    xs, ys = [mark.x for mark in marks], [*(mark.y for mark in marks), *levels]
    if chart.diagonal:
        xs = ys = [*xs, *ys]
    x_axis = _axis(xs, LEFT, WIDTH - RIGHT, chart.log_x)
    y_axis = _axis(ys, HEIGHT - BOTTOM, TOP, False)
    ends = (x_axis.start, y_axis.start, x_axis.end, y_axis.end)
    return Drawing(
        chart=chart,
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=WIDTH - RIGHT,
        top=TOP,
        bottom=HEIGHT - BOTTOM,
        x_ticks=x_axis.ticks(),
        y_ticks=y_axis.ticks(),
        strokes=tuple(_stroke(k, one, some, x_axis, y_axis) for k, one, some in series if some),
        level=y_axis.place(chart.level) if chart.level is not None else None,
        diagonal=ends if chart.diagonal else None,
    )


def drawn(charts: Iterable[Chart]) -> list[Drawing]:
    """The charts that have anything to show."""
    return [found for chart in charts if (found := drawing(chart))]


def _placeable(mark: Mark, log_x: bool) -> bool:
    return math.isfinite(mark.x) and math.isfinite(mark.y) and (mark.x > 0 or not log_x)


def _stroke(place: int, series: Series, marks: Sequence[Mark], x_axis: _Axis, y_axis: _Axis) -> Stroke:
    dots = tuple(Dot(x_axis.place(m.x), y_axis.place(m.y), m.label, m.kind) for m in marks)
    corners = _steps(dots) if series.stepped else [(dot.x, dot.y) for dot in dots]
    line = " ".join(f"{x:g},{y:g}" for x, y in corners) if series.joined and len(dots) > 1 else ""
    return Stroke(place, series.name, line, dots if series.marked or not line else (), series.joined)


def _steps(dots: Sequence[Dot]) -> list[tuple[float, float]]:
    """A front keeps its quality until the next dearer mark."""
    corners = [(dots[0].x, dots[0].y)] if dots else []
    for before, dot in itertools.pairwise(dots):
        corners += [(dot.x, before.y), (dot.x, dot.y)]
    return corners


def _axis(values: Sequence[float], start: float, end: float, log: bool) -> _Axis:
    values = [math.log10(value) for value in values] if log else values
    low, high = min(values), max(values)
    room = (high - low) * MARGIN or 0.05 * max(abs(high), 1.0)
    return _Axis(low - room, high + room, start, end, log)


def linear_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round values between `low` and `high`, `most` or fewer.

    >>> linear_ticks(0.12, 0.97)
    [0.2, 0.4, 0.6, 0.8]
    """
    rough = (high - low) / most
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (*STEPS, 10) if size * factor >= rough)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [float(f"{i * step:.10g}") for i in range(first, last + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(low), math.ceil(high) + 1)
    for steps in ((1,), STEPS):
        ticks = [
            step * 10.0**k for k in decades for step in steps if low <= math.log10(step * 10.0**k) <= high
        ]
        if len(ticks) >= FEW:
            break
    return ticks


def written(value: float) -> str:
    """How an axis writes a number: `0.8`, `250`, `2k`, `5M`.

    >>> [written(v) for v in (0.25, 2000, 5e6)]
    ['0.25', '2k', '5M']
    """
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def pareto(marks: Iterable[Mark]) -> tuple[Mark, ...]:
    """Those that no other beats in quality (y) at the same cost (x) or less, cheapest first.

    >>> [m.y for m in pareto([Mark(1, 0.5), Mark(2, 0.4), Mark(3, 0.9)])]
    [0.5, 0.9]
    """
    front: list[Mark] = []
    for mark in sorted(marks, key=lambda mark: (mark.x, -mark.y)):
        if not front or mark.y > front[-1].y:
            front.append(mark)
    return tuple(front)
