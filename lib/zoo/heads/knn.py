"""Nearest neighbours in the embedding: nothing is trained, so it shows what the backbone alone knows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from lib.clock import Clock
from lib.config import Settings
from lib.records.schema import Option
from lib.zoo.heads.base import HEADS, Head
from lib.zoo.jobs import (
    Floats,
    Stage,
    Standardisation,
    TrainingJob,
    TrainingResult,
    features_of,
    grid_points,
    tuned_result,
)
from lib.zoo.metrics import Judge, labels_of

TEMPERATURES = (0.07, 1.0)


@HEADS.register("knn")
class KnnHead(Head):
    """Cosine neighbours vote with weight exp(similarity / temperature) (Wu et al. 2018, arXiv:1805.01978)."""

    name = "knn"
    uses_gradient = False

    def grid(self, settings: Settings) -> dict[str, tuple[Option, ...]]:
        """How many neighbours vote, and how much more a near one weighs; warm and many, they answer the majority."""
        return {"neighbours": settings.classification.knn_neighbours, "temperature": TEMPERATURES}

    def train(self, job: TrainingJob) -> TrainingResult:
        """Keeps the train part's directions and lets them vote on every file of the other parts."""
        with Clock() as training:
            neighbours = Neighbours.of(job)
            points = [(int(p["neighbours"]), float(p["temperature"])) for p in grid_points(job.recipe.grid)]
            asked = features_of(job)[Judge.of(job.data_set).rows]
            stage = Stage(neighbours.votes_of(asked, points))
        index, result = tuned_result(job, [stage] * job.recipe.epochs)
        predict = partial(neighbours.vote, point=points[index])
        return replace(result, predict=predict, training_s=training.seconds)


Point = tuple[int, float]
"""Neighbours and temperature."""


@dataclass(frozen=True)
class Neighbours:
    """The train part's directions, `directions` (n_train, width), and what each votes for, `votes` (n_train, n_classes)."""

    scale: Standardisation
    directions: Floats
    votes: Floats

    @classmethod
    def of(cls, job: TrainingJob) -> Neighbours:
        """The neighbours of a job's train part."""
        train = job.data_set.indices("train")
        scale = Standardisation.of(features_of(job)[train])
        votes = np.eye(len(job.data_set.classes), dtype=np.float32)[labels_of(job.data_set)[train]]
        return cls(scale, _unit(scale(features_of(job)[train])), votes)

    def vote(self, features: Floats, point: Point) -> Floats:
        """Features (n, width) → probabilities (n, n_classes); a uniform extra vote keeps every class above zero."""
        return self.votes_of(features, [point])[0]

    def votes_of(self, features: Floats, points: list[Point]) -> Floats:
        """The votes of each number of neighbours and temperature: (n_points, n, n_classes)."""
        most = max(count for count, _ in points)
        similarity = _unit(self.scale(features)) @ self.directions.T
        nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :most]
        near = np.take_along_axis(similarity, nearest, axis=1)
        nearness = near - near[:, :1]
        return np.stack([self._shares(np.exp(nearness[:, :k] / t), nearest[:, :k]) for k, t in points])

    def _shares(self, weights: Floats, nearest: npt.NDArray[np.int64]) -> Floats:
        k, n_classes = weights.shape[1], self.votes.shape[1]
        shares = np.einsum("nk,nkc->nc", weights, self.votes[nearest]) / weights.sum(axis=1, keepdims=True)
        return ((k * shares + 1 / n_classes) / (k + 1)).astype(np.float32)


def _unit(features: Floats) -> Floats:
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
