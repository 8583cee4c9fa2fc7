"""The network that is handed over: members and temperatures as in numpy, distances as scikit-learn's."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.neighbors import NearestNeighbors
from torch import nn

from lib.fit.measured import combined
from lib.fit.network import HandedOver, Nearness, directions, self_distances
from lib.zoo.jobs import Standardisation
from lib.zoo.pair_networks import DensePair

WIDTH, CLASSES = 6, 3


def pair(seed: int) -> DensePair:
    torch.manual_seed(seed)
    backbone = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 4, WIDTH))
    scale = Standardisation(np.full(WIDTH, 0.1, np.float32), np.full(WIDTH, 2.0, np.float32))
    return DensePair(backbone, nn.Linear(WIDTH, CLASSES), scale).eval()


def features(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, WIDTH)).astype(np.float32) + 1


def test_probabilities_are_the_tempered_mean_of_tempered_members() -> None:
    members, temperatures = [pair(0), pair(1)], (0.7, 2.0, 1.4)
    network = HandedOver(members, temperatures, Nearness.of(features(20)))
    images = torch.rand(5, 3, 4, 4)
    with torch.inference_mode():
        given = network(images, images)[0].numpy()
        raw = [one(images).double().numpy() for one in members]
    assert np.allclose(given, combined(raw, temperatures), atol=1e-5)


def test_the_distance_is_that_to_the_third_nearest_training_image() -> None:
    train, nearness = features(50), Nearness.of(features(50))
    new = features(8, seed=5)
    with torch.inference_mode():
        given = HandedOver([pair(0)], (1.0, 1.0), nearness).distances(torch.from_numpy(new)).numpy()
    known = NearestNeighbors(n_neighbors=3, metric="cosine").fit(train - train.mean(axis=0))
    assert np.allclose(given, known.kneighbors(new - train.mean(axis=0))[0][:, -1], atol=1e-5)


def test_a_training_image_is_not_its_own_neighbour() -> None:
    rows = directions(features(30))
    known = NearestNeighbors(n_neighbors=3, metric="cosine").fit(rows)
    assert np.allclose(self_distances(rows), known.kneighbors()[0][:, -1], atol=1e-5)


def test_one_of_a_hundred_training_images_is_beyond_the_limit() -> None:
    nearness = Nearness.of(features(400))
    beyond = self_distances(nearness.references) > nearness.limit
    assert beyond.mean() == 0.01
