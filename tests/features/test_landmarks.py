"""Landmarks: stable names, honest cross-validation, and nothing where nothing can be told apart."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from lib.features.landmarks import landmarks

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 3, 90)
SEPARATE = RNG.normal(size=(90, 40)) + 6 * RNG.normal(size=(3, 40))[LABELS]
NOISE = RNG.normal(size=(90, 200))


def test_separate_classes_are_told_apart_and_noise_is_not() -> None:
    found = landmarks({"good": SEPARATE, "noise": NOISE}, LABELS)
    assert found["good.linear_probe"] == 1
    assert found["good.nearest_neighbour"] == 1
    assert found["noise.linear_probe"] < 0.6
    assert found["noise.nearest_neighbour"] < 0.6
    assert all(found[f"good.{name}"] > found[f"noise.{name}"] for name in ("logme", "h_score", "gbc", "parc"))


def test_scores_of_a_source_head_are_there_where_it_answered() -> None:
    answers = np.eye(3)[LABELS]
    found = landmarks({"good": SEPARATE, "noise": NOISE}, LABELS, source_probabilities={"good": answers})
    assert found["good.leep"] == pytest.approx(0)
    assert found["good.nce"] == pytest.approx(0)
    assert "noise.leep" not in found


def test_the_same_images_give_the_same_landmarks() -> None:
    assert landmarks({"x": SEPARATE}, LABELS) == landmarks({"x": SEPARATE}, LABELS)


@pytest.mark.parametrize("labels", [np.zeros(90, int), LABELS[:9]])
def test_one_class_or_too_few_images_have_no_landmarks(labels: np.ndarray) -> None:
    assert landmarks({"x": SEPARATE[: len(labels)]}, labels) == {}


def test_rare_classes_do_no_harm() -> None:
    found = landmarks({"x": SEPARATE[:20]}, np.array([0] * 18 + [1, 2]))
    assert np.isfinite(list(found.values())).all()


def test_landmarks_need_no_torch() -> None:
    code = "import sys, lib.features.landmarks; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
