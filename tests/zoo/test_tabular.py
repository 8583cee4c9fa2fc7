"""Piecewise linear encoding is what its formula says; `--head all` keeps the tabular network to tables of numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lib.zoo.backbones import describe_backbone
from lib.zoo.checks import SETTINGS
from lib.zoo.heads import HEADS
from lib.zoo.pairing import heads_for
from lib.zoo.tabular import PiecewiseLinear
from tests.zoo.made_up import made_up_data_set, made_up_job


def share(value, low, high):
    """How far `value` fills the bin from `low` to `high`, by the paper's three cases."""
    if value <= low:
        return 0.0
    return 1.0 if value >= high else (value - low) / (high - low)


def test_each_bin_is_filled_as_the_formula_says():
    generator = np.random.default_rng(0)
    train, asked = generator.normal(size=(40, 3)), generator.normal(size=(7, 3)) * 3
    encoded = PiecewiseLinear.of(train.astype(np.float32), 4)(asked.astype(np.float32))
    edges = np.quantile(train, [0, 0.25, 0.5, 0.75, 1], axis=0)
    expected = [
        [share(row[f], edges[b, f], edges[b + 1, f]) for b in range(4) for f in range(3)] for row in asked
    ]
    assert encoded == pytest.approx(np.array(expected), abs=1e-5)


def test_a_constant_feature_is_encoded_as_numbers():
    train = np.full((10, 1), 2, np.float32)
    encoded = PiecewiseLinear.of(train, 4)(np.array([[1], [2], [3]], np.float32))
    assert encoded.tolist() == [[0] * 4, [0] * 4, [1] * 4]


def test_it_learns_classes_that_are_ranges_of_one_number_better_than_a_line_can():
    data_set = made_up_data_set(n=300, n_classes=2)
    values = np.random.default_rng(0).normal(size=(300, 5)).astype(np.float32)
    data_set = replace(data_set, labels=(np.abs(values[:, 0]) < 0.7).astype(np.int64))
    accuracies = {
        head: HEADS[head]().train(made_up_job(head, data_set, features=values)).final.metrics["accuracy"]
        for head in ("tabular", "linear")
    }
    assert accuracies["tabular"] > 0.85 > 0.7 > accuracies["linear"]


def test_all_pairs_it_with_handcrafted_statistics_alone():
    network, handcrafted = (describe_backbone(name, SETTINGS) for name in ("test_resnet", "handcrafted"))
    assert "tabular" in heads_for("classification", backbone=handcrafted)
    assert "tabular" not in heads_for("classification", backbone=network)
    assert HEADS["tabular"]().incompatibility(network, "classification", finetune=False) is None
