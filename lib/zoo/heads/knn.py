"""Nearest neighbours in the embedding: nothing is trained, so it shows what the backbone alone knows."""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt

from lib.config import Settings
from lib.zoo.heads.base import HEADS, Head, TrainingJob, TrainingResult
from lib.zoo.heads.constant import constant_epochs
from lib.zoo.metrics import final_metrics, labels_of
from lib.zoo.standardisation import Standardisation, features_of

VOTE_TEMPERATURE = 0.07
ROWS_AT_ONCE = 1024

Floats = npt.NDArray[np.float32]


@HEADS.register("knn")
class KnnHead(Head):
    """Cosine neighbours vote with weight exp(similarity / 0.07) (Wu et al. 2018, arXiv:1805.01978)."""

    name = "knn"
    uses_gradient = False

    def parameters(self, embedding_width: int, n_classes: int) -> int:
        """None that are trained."""
        return 0

    def options(self, settings: Settings) -> dict[str, float | int | str]:
        """How many neighbours vote."""
        return {"neighbours": settings.classification.knn_neighbours}

    def train(self, job: TrainingJob) -> TrainingResult:
        """Keeps the train part's directions and lets them vote on every file of the other parts."""
        started = time.perf_counter()
        neighbours = Neighbours.of(job)
        trained = time.perf_counter()
        asked = np.flatnonzero(np.isin(job.data_set.parts, ("validation", "test")))
        probabilities = np.full((len(job.data_set), len(job.data_set.classes)), np.nan)
        probabilities[asked] = neighbours.vote(features_of(job)[asked])
        epochs = constant_epochs(job, probabilities)
        return TrainingResult(
            epochs=epochs,
            final=final_metrics(job.data_set, probabilities),
            parameters=0,
            training_s=trained - started,
            evaluation_s=time.perf_counter() - trained,
            predict=neighbours.vote,
        )


class Neighbours:
    """The train part's directions, `directions` (n_train, width), and what each votes for, `votes` (n_train, n_classes)."""

    def __init__(self, scale: Standardisation, directions: Floats, votes: Floats, neighbours: int) -> None:
        self.scale, self.directions, self.votes = scale, directions, votes
        self.neighbours = min(neighbours, len(directions))

    @classmethod
    def of(cls, job: TrainingJob) -> Neighbours:
        """The neighbours of a job's train part."""
        train = job.data_set.indices("train")
        scale = Standardisation.of(features_of(job)[train])
        directions = _unit(scale(features_of(job)[train]))
        votes = np.eye(len(job.data_set.classes), dtype=np.float32)[labels_of(job.data_set)[train]]
        return cls(scale, directions, votes, int(job.recipe.options["neighbours"]))

    def vote(self, features: Floats) -> Floats:
        """Features (n, width) → probabilities (n, n_classes); a uniform extra vote keeps every class above zero."""
        blocks = [features[i : i + ROWS_AT_ONCE] for i in range(0, len(features), ROWS_AT_ONCE)]
        return np.concatenate([self._vote_block(block) for block in blocks])

    def _vote_block(self, features: Floats) -> Floats:
        similarity = _unit(self.scale(features)) @ self.directions.T
        nearest = np.argpartition(-similarity, self.neighbours - 1, axis=1)[:, : self.neighbours]
        near = np.take_along_axis(similarity, nearest, axis=1)
        weights = np.exp((near - near.max(axis=1, keepdims=True)) / VOTE_TEMPERATURE)
        weights /= weights.sum(axis=1, keepdims=True)
        shares = np.einsum("nk,nkc->nc", weights, self.votes[nearest])
        n_classes = self.votes.shape[1]
        return ((self.neighbours * shares + 1 / n_classes) / (self.neighbours + 1)).astype(np.float32)


def _unit(features: Floats) -> Floats:
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
