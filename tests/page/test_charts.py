"""Charts as geometry: ticks are round and inside, fronts are those of brute force, places keep the order of the data."""

from __future__ import annotations

import numpy as np
import pytest

from lib.page.charts import Chart, Mark, Series, drawing, linear_ticks, pareto
from lib.page.confusions import confusion_view
from lib.page.ranges import RankedLine, scale_of


@pytest.mark.parametrize(("low", "high"), [(0.12, 0.97), (0.7931, 0.8012), (-3.0, 900.0), (1e-6, 3e-6)])
def test_ticks_are_few_round_and_inside(low: float, high: float) -> None:
    ticks = linear_ticks(low, high)
    steps = np.diff(ticks)
    assert 2 <= len(ticks) <= 7
    assert low <= ticks[0] and ticks[-1] <= high
    assert np.allclose(steps, steps[0])
    assert float(f"{steps[0]:.0e}"[0]) in (1, 2, 5)


def test_a_front_is_that_of_brute_force() -> None:
    rng = np.random.default_rng(0)
    marks = [Mark(float(x), float(y)) for x, y in rng.uniform(1, 9, (60, 2)).round(1)]
    beaten = [any(o.x <= m.x and o.y >= m.y and (o.x, o.y) != (m.x, m.y) for o in marks) for m in marks]
    expected = {(m.x, m.y) for m, is_beaten in zip(marks, beaten, strict=True) if not is_beaten}
    assert {(m.x, m.y) for m in pareto(marks)} == expected


def test_places_keep_the_order_of_the_data_and_stay_on_the_canvas() -> None:
    marks = tuple(Mark(10.0**k, k / 7) for k in range(1, 7))
    drawn = drawing(Chart("t", "x", "y", (Series("s", marks, joined=True),), log_x=True))
    assert drawn is not None
    (stroke,) = drawn.strokes
    xs, ys = [dot.x for dot in stroke.dots], [dot.y for dot in stroke.dots]
    assert xs == sorted(xs) and ys == sorted(ys, reverse=True)
    assert np.allclose(np.diff(xs), np.diff(xs)[0], atol=0.2)
    assert drawn.left <= min(xs) and max(xs) <= drawn.right
    assert drawn.top <= min(ys) and max(ys) <= drawn.bottom


def test_a_chart_without_a_mark_that_can_be_placed_is_none() -> None:
    for mark in (Mark(0.0, 1.0), Mark(float("nan"), 1.0), Mark(1.0, float("inf"))):
        assert drawing(Chart("t", "x", "y", (Series("s", (mark,)),), log_x=True)) is None
    assert drawing(Chart("t", "x", "y", ())) is None


def test_one_mark_alone_can_be_drawn() -> None:
    assert drawing(Chart("t", "x", "y", (Series("s", (Mark(0.0, 0.0),)),))) is not None


def test_mistakes_are_told_commonest_first_and_shares_are_of_the_true_class() -> None:
    view = confusion_view("t", ("a", "b"), ((6, 2), (5, 5)))
    assert view is not None
    assert view.mistakes == (("b", "a", 5), ("a", "b", 2))
    assert view.cells[0][1] == ((6, 0.75), (2, 0.25)) and view.cells[0][2] == 0.75


def test_a_confusion_matrix_of_another_form_than_its_classes_is_none() -> None:
    assert confusion_view("t", ("a", "b"), ((1, 2),)) is None
    assert confusion_view("t", (), ()) is None
    assert confusion_view("t", ("a",), ((0,),)) is None


def test_every_end_of_an_interval_lies_on_its_scale() -> None:
    lines = [RankedLine("p", 0.5, 0.2, 0.9, "measured"), RankedLine("q", 0.95, None, None, "predicted")]
    scale = scale_of(lines, chance=0.01)
    assert scale.low < 0.2 and scale.high > 0.95 and scale.chance is None
    assert scale.place(0.2) < scale.place(0.5) < scale.place(0.95)


def test_a_series_keeps_its_colour_where_another_has_nothing_to_show() -> None:
    line = (Mark(1, 1), Mark(2, 2))
    drawn = drawing(Chart("t", "x", "y", (Series("empty", ()), Series("full", line, joined=True))))
    assert drawn is not None and [(stroke.place, stroke.name) for stroke in drawn.strokes] == [(1, "full")]
