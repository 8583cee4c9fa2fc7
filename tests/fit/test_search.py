"""Which cell of a fit runs next, when it stops, and what is heard meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from lib.benchmark.budget import Within
from lib.fit.hearing import Hearing, OutOfTime, Watch
from lib.fit.search import FOUND, Promising
from lib.performance_prediction.boosting.cells import Pair
from lib.recommendation.budget_policy import Outlook


@dataclass
class Planned:
    """A cell as the ordering sees it."""

    head: str
    cost_s: float
    finetune: bool = False

    @property
    def cell(self):
        recipe = SimpleNamespace(finetune=self.finetune, folds=(0, 1))
        return SimpleNamespace(backbone=SimpleNamespace(name="net"), column=self.head, recipe=recipe)


@dataclass
class Policy:
    found: float
    best: float = 0.9

    def outlook(self, info, pairs, finished) -> Outlook:
        return Outlook("set", self.best, len(pairs), 0.8, 0.7, 0.9, self.found, 1.0)


@dataclass
class Clock:
    now: float = 0.0
    told: list[str] = field(default_factory=list)

    def hearing(self, end_s: float = 10.0) -> Hearing:
        return Hearing(None, "accuracy", lambda: self.now, end_s, Watch(self.told.append, self.told.append))  # type: ignore[arg-type]


CELLS = [Planned("linear", 2.0), Planned("mlp", 1.0)]
KNOWN = frozenset(Pair("net", one.head) for one in CELLS)
DONE = [SimpleNamespace()]


def promising(found: float, left_s: float = 10.0, known=KNOWN) -> Promising:
    within = Within(left_s, lambda cells, finished: range(len(cells)), now=lambda: 0.0)
    return Promising(Policy(found), None, within, Clock().hearing(left_s), known)  # type: ignore[arg-type]


def test_it_stops_where_nothing_promising_is_left_and_says_so() -> None:
    ordering = promising(FOUND)
    assert ordering.next(CELLS, DONE) is None
    assert "nothing promising is left" in ordering.stopped


def test_it_goes_on_while_a_better_pair_is_likely() -> None:
    assert promising(0.5).next(CELLS, DONE) is CELLS[0]


def test_pairs_that_no_record_knows_are_not_called_unpromising() -> None:
    assert promising(1.0, known=frozenset()).next(CELLS, DONE) is CELLS[0]


def test_a_cell_that_would_outlast_the_time_is_not_begun() -> None:
    ordering = promising(0.5, left_s=1.5)
    assert ordering.next(CELLS, DONE) is CELLS[1]
    assert promising(0.5, left_s=0.5).next(CELLS, DONE) is None


def test_fine_tuning_begins_only_where_training_again_fits_as_well() -> None:
    tuned = [Planned("linear (fine-tuned)", 6.0, finetune=True)]
    assert promising(0.5, left_s=10.0).next(tuned, DONE) is tuned[0]
    ordering = promising(0.5, left_s=9.0)
    assert ordering.next(tuned, DONE) is None
    assert ordering.stopped.endswith("expected to take 10 s")


def test_where_all_answers_are_right_nothing_else_is_run() -> None:
    ordering = promising(0.5, known=frozenset())
    ordering.policy.best = 1.0  # type: ignore[misc, attr-defined]
    assert ordering.next(CELLS, DONE) is None
    assert "nothing to gain" in ordering.stopped


def test_before_anything_is_finished_the_cheapest_cell_is_tried_whatever_it_is_thought_to_take() -> None:
    assert promising(0.5, left_s=0.5).next(CELLS, []) is CELLS[1]


def test_a_cell_ends_when_the_time_is_up() -> None:
    clock = Clock()
    hearing = clock.hearing(end_s=5.0)
    cell = SimpleNamespace(backbone=SimpleNamespace(name="net"), column="linear")
    hearing.features_progress(cell, 1, 2)
    clock.now = 5.1
    for event in (lambda: hearing.features_progress(cell, 2, 2), lambda: hearing.cell_starts(cell)):
        with pytest.raises(OutOfTime):
            event()
    assert clock.told == ["net: 1 of 2 images; 5 s left to search"]


def test_the_time_to_train_the_winner_again_is_left() -> None:
    hearing = Clock().hearing(end_s=5.0)
    hearing.again_s = 4.0
    assert hearing.left_s() == 1.0


def test_the_end_of_the_time_passes_where_errors_become_records() -> None:
    assert issubclass(OutOfTime, KeyboardInterrupt)
    assert not issubclass(OutOfTime, Exception)


def test_the_first_model_comes_from_a_pair_that_takes_a_small_part_of_the_time() -> None:
    dear = [Planned("deeplabv3plus", 5.0), Planned("linear_mask", 1.0)]
    assert promising(0.5).next(dear, []) is dear[1]
    assert promising(0.5).next(dear, DONE) is dear[0]
