"""Intervals and paired tests agree with scikit-learn, scipy and a bootstrap of the images themselves."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, f1_score

from lib.zoo.comparison import measured, paired


def made_up_answers(n=300, right=0.8, seed=0):
    random = np.random.default_rng(seed)
    labels = random.choice(3, n, p=(0.6, 0.3, 0.1))
    return labels, np.where(random.random(n) < right, labels, random.integers(0, 3, n))


def test_metrics_are_scikit_learns_and_lie_in_their_intervals():
    labels, answers = made_up_answers()
    found = measured(confusion_matrix(labels, answers))
    expected = {
        "accuracy": accuracy_score(labels, answers),
        "balanced_accuracy": balanced_accuracy_score(labels, answers),
        "macro_f1": f1_score(labels, answers, average="macro"),
    }
    assert {name: one.value for name, one in found.items()} == pytest.approx(expected)
    assert all(one.low < one.value < one.high for one in found.values())


def test_the_interval_is_that_of_a_bootstrap_of_the_images():
    labels, answers = made_up_answers()
    random, scores = np.random.default_rng(1), []
    for _ in range(1500):
        rows = random.integers(0, len(labels), len(labels))
        scores.append(balanced_accuracy_score(labels[rows], answers[rows]))
    found = measured(confusion_matrix(labels, answers))["balanced_accuracy"]
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(scores, (0.025, 0.975))), abs=0.01)


def test_a_class_that_nobody_has_does_not_count():
    confusion = np.array([[5, 1, 0], [0, 4, 0], [0, 0, 0]])
    assert measured(confusion)["balanced_accuracy"].value == pytest.approx((5 / 6 + 1) / 2)


def test_paired_differences_are_mcnemars_exact_test():
    labels, answers = made_up_answers(right=0.9)
    _, reference = made_up_answers(right=0.7, seed=0)
    gained = int(((answers == labels) & (reference != labels)).sum())
    lost = int(((answers != labels) & (reference == labels)).sum())
    found = paired(labels, answers, reference)
    assert found.p_value == pytest.approx(binomtest(gained, gained + lost, 0.5).pvalue)
    assert found.difference.value == pytest.approx((gained - lost) / 300)
    error = np.sqrt(gained + lost - (gained - lost) ** 2 / 300) / 300
    assert found.difference.high - found.difference.low == pytest.approx(2 * 1.96 * error, rel=0.05)


def test_equal_answers_differ_by_nothing():
    labels, answers = made_up_answers()
    found = paired(labels, answers, answers)
    assert found.p_value == 1 and found.difference.low == found.difference.high == 0
