"""The choice: calibrated, compared image by image, among equals the cheapest, an ensemble only where it pays."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from lib.fit.choice import Candidate, best_temperature, calibrated, choose, paired, tempered
from lib.fit.measured import combined

N, CLASSES = 400, 3
GENERATOR = np.random.default_rng(0)
LABELS = GENERATOR.integers(0, CLASSES, N)


def answers(signal: float, seed: int = 0, sharpness: float = 1.0) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(size=(N, CLASSES)) + signal * np.eye(CLASSES)[LABELS]
    powers = np.exp(sharpness * logits)
    return powers / powers.sum(axis=1, keepdims=True)


def candidate(name: str, given: np.ndarray, latency_ms: float = 10.0, parameters: int = 100) -> Candidate:
    return Candidate(name, (name,), given, latency_ms, parameters, network=name.split("/")[0])


def chosen(*candidates: Candidate, **limits: float) -> str:
    return choose(candidates, LABELS, "accuracy", **limits).chosen.name


def test_the_temperature_is_the_one_scipy_finds() -> None:
    given = answers(1.5, sharpness=3.0)
    rows = np.arange(N)
    loss = lambda t: -np.log(tempered(given, t)[rows, LABELS]).mean()  # noqa: E731
    assert best_temperature(given, LABELS) == pytest.approx(
        minimize_scalar(loss, bounds=(0.2, 8), method="bounded").x, rel=0.05
    )


def test_tempered_answers_keep_their_order_and_add_up_to_one() -> None:
    given = answers(1.0)
    cool = tempered(given, 3.0)
    assert np.allclose(cool.sum(axis=1), 1)
    assert (cool.argmax(axis=1) == given.argmax(axis=1)).all()
    assert np.allclose(tempered(given, 1.0), given)


def test_among_equals_the_cheapest_is_chosen() -> None:
    same = answers(2.0)
    nudged = tempered(same, 1.0001)
    choice = choose([candidate("dear", same, 90), candidate("cheap", nudged, 5)], LABELS, "accuracy")
    assert choice.chosen.name == "cheap"
    assert [one.name for one in choice.equals] == ["cheap", "dear"]


def test_a_clearly_better_pair_is_chosen_whatever_it_costs() -> None:
    assert chosen(candidate("good", answers(4.0), 90), candidate("poor", answers(0.3), 1)) == "good"


def test_an_ensemble_pays_where_members_err_apart() -> None:
    members = [candidate(f"m{seed}", answers(2.0, seed)) for seed in range(4)]
    choice = choose(members, LABELS, "accuracy")
    assert 2 <= len(choice.chosen.keys) <= 3
    best = calibrated(members[0], LABELS)
    assert paired(best, choice.chosen, LABELS, "accuracy").worse > 0


def test_copies_of_one_pair_make_no_ensemble() -> None:
    same = answers(2.0)
    assert "+" not in chosen(candidate("a", same), candidate("b", same.copy()), candidate("c", same.copy()))


def test_heads_of_one_network_make_no_ensemble() -> None:
    assert "+" not in chosen(*(candidate(f"net/{seed}", answers(2.0, seed)) for seed in range(3)))


@pytest.mark.parametrize("limits", [{"max_latency_ms": 15.0}, {"max_parameters": 150}])
def test_an_ensemble_keeps_the_limits(limits: dict[str, float]) -> None:
    assert "+" not in chosen(*(candidate(f"m{seed}", answers(2.0, seed)) for seed in range(3)), **limits)


def test_a_pair_with_fewer_folds_is_compared_on_the_images_it_answered() -> None:
    few = answers(5.0, seed=3)
    few[N // 2 :] = np.nan
    assert chosen(candidate("all", answers(1.0)), candidate("few", few)) == "few"
    poor = answers(0.2, seed=3)
    poor[N // 2 :] = np.nan
    assert chosen(candidate("all", answers(1.0)), candidate("few", poor), max_parameters=100) == "all"


def test_rare_classes_weigh_as_much_where_the_metric_says_so() -> None:
    labels = np.array([0] * 95 + [1] * 5)
    usual = np.tile([0.95, 0.05], (100, 1))
    rare = np.where(np.arange(100)[:, None] < 95, [0.8, 0.2], [0.2, 0.8])
    pairs = candidate("usual", usual), candidate("rare", rare)
    gap = paired(*pairs, labels, "balanced_accuracy")
    plain = paired(*pairs, labels, "accuracy")
    assert gap.worse > plain.worse


def test_the_measured_answers_are_those_of_the_choice() -> None:
    members = [candidate(f"m{seed}", answers(2.0, seed)) for seed in range(3)]
    choice = choose(members, LABELS, "accuracy").chosen
    raw = [one.answers for key in choice.keys for one in members if one.keys == (key,)]
    assert np.allclose(combined(raw, choice.temperatures), choice.answers)
