"""Boosted trees on the embeddings (CatBoost); epoch e of E is the model after e/E of its iterations."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lib.clock import Clock
from lib.config import Settings
from lib.errors import CvAutomlError
from lib.records.schema import Option
from lib.zoo.heads.base import HEADS, Head
from lib.zoo.jobs import Stage, TrainingJob, TrainingResult, features_of, tuned_result
from lib.zoo.metrics import Judge, labels_of

if TYPE_CHECKING:
    from catboost import CatBoostClassifier


@HEADS.register("catboost")
class CatboostHead(Head):
    """Shallow trees, each on a twentieth of the features: embeddings are wide, and their columns repeat each other."""

    name = "catboost"
    uses_gradient = False
    depth = 3
    feature_share = 0.05
    borders = 16

    def options(self, settings: Settings) -> dict[str, Option]:
        """The form of the trees."""
        return {"depth": self.depth, "feature_share": self.feature_share, "borders": self.borders}

    def grid(self, settings: Settings) -> dict[str, tuple[Option, ...]]:
        """How many trees are asked: all are grown once, and the first so many of them answer."""
        return {"iterations": settings.classification.catboost_iterations}

    def train(self, job: TrainingJob) -> TrainingResult:
        """Fits the trees once and reads each number of trees, and each epoch of it, from the first of them."""
        import torch

        with Clock(torch.get_num_threads()) as training:
            model = _fitted(job, torch.get_num_threads())
        counts = [min(int(count), model.tree_count_) for count in job.recipe.grid["iterations"]]
        index, result = tuned_result(job, _stages(job, model, counts))
        predict = partial(_probabilities, model, len(job.data_set.classes), counts[index])
        return replace(result, predict=predict, training_s=training.seconds)


def _fitted(job: TrainingJob, threads: int) -> CatBoostClassifier:
    from catboost import CatBoostClassifier

    train = job.data_set.indices("train")
    labels = labels_of(job.data_set)[train]
    if len(np.unique(labels)) < 2:
        raise CvAutomlError("boosted trees need at least two classes in the train part, found one")
    options = job.recipe.options
    model = CatBoostClassifier(
        iterations=max(int(count) for count in job.recipe.grid["iterations"]),
        depth=int(options["depth"]),
        rsm=float(options["feature_share"]),
        border_count=int(options["borders"]),
        loss_function="MultiClass",
        random_seed=job.seed,
        thread_count=threads,
        allow_writing_files=False,
        verbose=False,
    )
    return model.fit(features_of(job)[train], labels)


def _stages(job: TrainingJob, model: CatBoostClassifier, counts: list[int]) -> list[Stage]:
    losses = np.array(model.get_evals_result()["learn"]["MultiClass"])
    asked = features_of(job)[Judge.of(job.data_set).rows]
    epochs = job.recipe.epochs
    trees = [[math.ceil(epoch * count / epochs) for count in counts] for epoch in range(1, epochs + 1)]
    n_classes = len(job.data_set.classes)
    answers = {
        count: _probabilities(model, n_classes, count, asked)
        for count in sorted({n for row in trees for n in row})
    }
    return [Stage(np.stack([answers[n] for n in row]), losses[np.array(row) - 1]) for row in trees]


def _probabilities(
    model: CatBoostClassifier, n_classes: int, trees: int, features: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Probabilities (n, n_classes) of the first `trees` trees; classes absent from training get none."""
    probabilities = np.zeros((len(features), n_classes), dtype=np.float32)
    probabilities[:, model.classes_.astype(int)] = model.predict_proba(
        features, ntree_end=trees, thread_count=1
    )
    return probabilities
