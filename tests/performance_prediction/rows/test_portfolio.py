"""Greedy portfolios against brute force."""

from itertools import combinations

import numpy as np
import pytest

from lib.performance_prediction.rows.suggest import greedy_portfolio


@pytest.mark.parametrize("seed", range(8))
def test_portfolio_is_close_to_the_best_set_of_three(seed: int) -> None:
    scores = np.random.default_rng(seed).random((15, 9))
    best = max(scores[:, list(chosen)].max(1).mean() for chosen in combinations(range(9), 3))
    own = scores[:, greedy_portfolio(scores, 3)].max(1).mean()
    assert (1 - 1 / np.e) * best < own <= best + 1e-12
    assert own > 0.97 * best


def test_each_step_is_the_best_single_step() -> None:
    scores = np.random.default_rng(1).random((12, 7))
    order = greedy_portfolio(scores, 4)
    for size in range(1, 5):
        taken = order[: size - 1]
        reachable = [scores[:, [*taken, j]].max(1).mean() for j in range(7) if j not in taken]
        assert np.isclose(scores[:, order[:size]].max(1).mean(), max(reachable))


def test_three_complementary_specialists_beat_the_three_highest_means() -> None:
    scores = np.array(
        [[0.9, 0.1, 0.1, 0.6, 0.6, 0.6], [0.1, 0.9, 0.1, 0.6, 0.6, 0.6], [0.1, 0.1, 0.9, 0.6, 0.6, 0.6]]
    )
    order = greedy_portfolio(scores, 4)
    assert order[0] == 3 and set(order[1:]) == {0, 1, 2}


def test_costs_incumbents_and_exclusions_are_respected() -> None:
    scores = np.array([[0.9, 0.8, 0.5]])
    assert greedy_portfolio(scores, 1, costs=np.array([10.0, 1.0, 1.0])) == [1]
    assert greedy_portfolio(scores, 1, incumbent=0.85, costs=np.array([10.0, 1.0, 1.0])) == [0]
    assert greedy_portfolio(scores, 5, excluded=[0]) == [1, 2]


def test_weights_are_probabilities_of_rows() -> None:
    scores = np.array([[0.9, 0.1], [0.1, 0.8]])
    assert greedy_portfolio(scores, 1, weights=np.array([1.0, 3.0])) == [1]
