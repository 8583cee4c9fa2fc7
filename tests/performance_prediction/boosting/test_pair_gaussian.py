"""A row given its known cells: what a normal distribution says, correlations by sort, shrinking chosen on other families."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from lib.performance_prediction.boosting.cells import Cell, Pair
from lib.performance_prediction.boosting.contract import Known
from lib.performance_prediction.boosting.evidence import Evidence
from lib.performance_prediction.boosting.leave_set_out import LeftOutSet, leave_families_out
from lib.performance_prediction.boosting.pair_gaussian import PairGaussian, PairOrder, _Table, gain, sorts_of
from lib.performance_prediction.boosting.scores import ANSWER, floor_by_family, regret_by_family, with_answer
from tests.performance_prediction.boosting.test_probe_choice import EVIDENCE

NEW = EVIDENCE.facts[EVIDENCE.data_sets[0]].model_copy(update={"name": "new"})
PROBED = tuple(Pair(name, "linear") for name in ("handcrafted", "resnet18"))


def with_folds(evidence: Evidence, noise: float = 0.02) -> Evidence:
    """Four folds a cell, each off by noise of its own."""
    rng = np.random.default_rng(0)

    def cell(one: Cell) -> Cell:
        off = rng.normal(0, noise, 4)
        folds = {k: one.quality + float(x) for k, x in enumerate(off - off.mean())}
        return replace(one, folds=folds, standard_error=noise / 2)

    return replace(evidence, cells=tuple(cell(one) for one in evidence.cells), probed=PROBED)


NOISY = with_folds(EVIDENCE)


def test_the_gain_is_that_of_regression_on_many_draws() -> None:
    rng = np.random.default_rng(1)
    root = rng.normal(size=(5, 5))
    covariance, given, noise = root @ root.T, np.array([0, 3]), np.array([0.5, 0.1])
    rows = rng.multivariate_normal(np.zeros(5), covariance, 200_000)
    seen = rows[:, given] + rng.normal(size=(len(rows), 2)) * np.sqrt(noise)
    fitted = np.linalg.lstsq(seen, rows, rcond=None)[0].T
    np.testing.assert_allclose(gain(covariance, given, noise), fitted, atol=0.05)


def test_two_pairs_are_of_one_sort_where_weights_backbones_and_heads_are_alike() -> None:
    place, sorts = {pair: j for j, pair in enumerate(EVIDENCE.pairs)}, sorts_of(EVIDENCE)
    nets = ("resnet18", "resnet50", "vit_tiny_patch16_224")

    def of(a: tuple[str, str], b: tuple[str, str]) -> int:
        return int(sorts[place[Pair(*a)], place[Pair(*b)]])

    same_head = {of((a, head), (b, head)) for a in nets for b in nets if a != b for head in ("linear", "knn")}
    assert len(same_head) == 1
    assert same_head != {of(("resnet18", "linear"), ("resnet50", "knn"))}
    assert (sorts == sorts.T).all()


@pytest.mark.parametrize("predictor", [PairGaussian, PairOrder])
def test_a_relative_of_the_known_pair_follows_it_and_a_known_one_is_drawn_to_the_rest(
    predictor: type[PairGaussian],
) -> None:
    fitted = predictor().fit(NOISY)
    alone = fitted.predict(NEW, NOISY.pairs, {})
    known = {
        Pair("resnet18", "linear"): Known(
            float(alone[NOISY.pairs.index(Pair("resnet18", "linear"))]) + 0.15, 0.01
        )
    }
    moved = dict(zip(NOISY.pairs, fitted.predict(NEW, NOISY.pairs, known) - alone, strict=True))
    assert moved[Pair("vit_tiny_patch16_224", "linear")] > 0.05
    assert moved[Pair("vit_tiny_patch16_224", "linear")] > moved[Pair("handcrafted", "linear")]
    assert 0 < moved[Pair("resnet18", "linear")] < 0.15
    np.testing.assert_allclose(alone, fitted.mean, atol=1e-12)


def test_what_is_known_of_a_pair_counts_less_where_its_standard_error_is_larger() -> None:
    fitted, pair = PairGaussian().fit(NOISY), Pair("resnet18", "linear")
    sure, unsure = (fitted.predict(NEW, [pair], {pair: Known(0.99, error)})[0] for error in (0.01, 0.2))
    assert sure > unsure > fitted.predict(NEW, [pair], {})[0]


@cache
def left_out_sets() -> tuple[LeftOutSet, ...]:
    """Folds so noisy that pairs of one kind differ by luck alone."""
    judged = {"order": PairOrder(), "level": PairGaussian()}
    return tuple(leave_families_out(with_folds(EVIDENCE, 0.05), judged, ("probed",))["probed"])


def test_ranked_by_what_it_thinks_of_the_known_pairs_and_answered_as_measured() -> None:
    for entry in with_answer(left_out_sets(), "level", "order"):
        assert (entry.predicted[ANSWER][entry.revealed] == entry.truth[entry.revealed]).all()
        np.testing.assert_array_equal(entry.halved[ANSWER], entry.halved["order"])
        assert not np.allclose(entry.halved["order"][:, entry.revealed], entry.choosing[:, entry.revealed])


def test_the_order_misses_less_than_choosing_by_half_of_noisy_folds() -> None:
    own, floor = regret_by_family(left_out_sets(), "order"), floor_by_family(left_out_sets())
    assert np.mean([*own.values()]) < np.mean([*floor.values()])


def test_a_pair_that_is_the_only_one_of_its_sort_correlates_with_itself_alone() -> None:
    values = np.random.default_rng(2).normal(size=(6, 2))
    sorts = np.array([[1, 0], [0, 1]])
    nothing = np.array([], dtype=np.int64)
    table = _Table(values, np.ones(6), np.arange(6), nothing, sorts, (), 0.0)
    _, spread = table.moments(np.ones(6, dtype=bool))
    expected = np.corrcoef(values.T)
    np.testing.assert_allclose(spread.alike, expected)
