"""The list of doubtful images: contradicted labels, near-duplicates that disagree, odd ones out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lib.fit.second_look import KINDS, contradictions, second_look
from tests.zoo.made_up import made_up_data_set


def labelled(n: int = 200, flips: int = 10):
    data_set = made_up_data_set(n=n)
    generator = np.random.default_rng(1)
    truth = data_set.labels.copy()
    answers = np.full((n, 4), 0.1) + 0.6 * np.eye(4)[truth]
    flipped = generator.choice(n, flips, replace=False)
    labels = truth.copy()
    labels[flipped] = (truth[flipped] + 1) % 4
    hashes = generator.integers(0, 2**63, n).astype(np.uint64)
    return replace(data_set, labels=labels, hashes=hashes), answers, flipped


def looked(data_set, answers, distances=None, limit=1.0):
    parts = np.full(len(data_set), "folds")
    return second_look(data_set, answers, distances, limit, parts, near_duplicate_bits=4)


def test_flipped_labels_are_found_and_no_others() -> None:
    data_set, answers, flipped = labelled()
    found = looked(data_set, answers)
    assert {one.file for one in found.looks} == {data_set.files[i] for i in flipped}
    assert all(one.kind == KINDS[0] and one.suggested != one.label for one in found.looks)
    assert found.at_stake == len(flipped) / len(data_set)


def test_an_unsure_answer_contradicts_nothing() -> None:
    labels = np.array([0, 0, 0, 1, 1, 1])
    answers = np.array([[0.9, 0.1]] * 3 + [[0.1, 0.9]] * 2 + [[0.55, 0.45]])
    assert len(contradictions(answers, labels)) == 0
    answers[5] = [0.95, 0.05]
    assert contradictions(answers, labels).tolist() == [5]


def test_images_without_an_answer_are_left_out() -> None:
    data_set, answers, flipped = labelled()
    answers[flipped] = np.nan
    assert looked(data_set, answers).looks == ()


def test_near_duplicates_with_other_labels_name_the_minority() -> None:
    data_set, _, _ = labelled(flips=0)
    hashes, labels = data_set.hashes.copy(), data_set.labels.copy()
    hashes[:3], labels[:3] = 12345, [0, 0, 1]
    (one,) = looked(replace(data_set, hashes=hashes, labels=labels), None).looks
    assert (one.file, one.kind) == (data_set.files[2], KINDS[1])
    assert one.suggested == data_set.classes[0]


def test_odd_images_come_after_confident_contradictions() -> None:
    data_set, answers, flipped = labelled()
    distances = np.zeros(len(data_set))
    odd = next(i for i in range(len(data_set)) if i not in flipped)
    distances[odd] = 1.5
    found = looked(data_set, answers, distances)
    assert found.looks[-1].file == data_set.files[odd]
    assert found.looks[-1].kind == KINDS[2]
