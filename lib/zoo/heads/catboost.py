"""Boosted trees on the embeddings (CatBoost); epoch e of E is the model after e/E of its iterations."""

from __future__ import annotations

import math
import time
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lib.config import Settings
from lib.errors import CvAutomlError
from lib.records import EpochEntry
from lib.zoo.heads.base import HEADS, Head, TrainingJob, TrainingResult
from lib.zoo.metrics import Probabilities, final_metrics, labels_of, measured_epoch
from lib.zoo.standardisation import features_of

if TYPE_CHECKING:
    from catboost import CatBoostClassifier


@HEADS.register("catboost")
class CatboostHead(Head):
    """Shallow trees, each on a tenth of the features: embeddings are wide, and their columns repeat each other."""

    name = "catboost"
    uses_gradient = False
    depth = 4
    feature_share = 0.1
    borders = 32

    def parameters(self, embedding_width: int, n_classes: int) -> int:
        """None by gradient; the leaves of trees are not counted."""
        return 0

    def options(self, settings: Settings) -> dict[str, float | int | str]:
        """Trees in all, and their form."""
        return {
            "iterations": settings.classification.catboost_iterations,
            "depth": self.depth,
            "feature_share": self.feature_share,
            "borders": self.borders,
        }

    def train(self, job: TrainingJob) -> TrainingResult:
        """Fits the trees once and reads each epoch from the first of them."""
        from catboost import CatBoostClassifier

        started = time.perf_counter()
        model = _fitted(job, CatBoostClassifier)
        trained = time.perf_counter()
        epochs, probabilities = _staged_epochs(job, model)
        final = final_metrics(job.data_set, probabilities)
        return TrainingResult(
            epochs=epochs,
            final=final,
            parameters=0,
            training_s=trained - started,
            evaluation_s=time.perf_counter() - trained,
            predict=partial(_probabilities, model, len(job.data_set.classes), 0),
        )


def _fitted(job: TrainingJob, classifier: type[CatBoostClassifier]) -> CatBoostClassifier:
    import torch

    train = job.data_set.indices("train")
    labels = labels_of(job.data_set)[train]
    if len(np.unique(labels)) < 2:
        raise CvAutomlError("boosted trees need at least two classes in the train part, found one")
    options = job.recipe.options
    model = classifier(
        iterations=int(options["iterations"]),
        depth=int(options["depth"]),
        rsm=float(options["feature_share"]),
        border_count=int(options["borders"]),
        loss_function="MultiClass",
        random_seed=job.seed,
        thread_count=torch.get_num_threads(),
        allow_writing_files=False,
        verbose=False,
    )
    return model.fit(features_of(job)[train], labels)


def _staged_epochs(
    job: TrainingJob, model: CatBoostClassifier
) -> tuple[tuple[EpochEntry, ...], Probabilities]:
    asked = np.flatnonzero(np.isin(job.data_set.parts, ("validation", "test")))
    features = features_of(job)[asked]
    probabilities = np.full((len(job.data_set), len(job.data_set.classes)), np.nan)
    losses = model.get_evals_result()["learn"]["MultiClass"]
    entries = []
    for epoch in range(1, job.recipe.epochs + 1):
        trees = math.ceil(epoch * model.tree_count_ / job.recipe.epochs)
        probabilities[asked] = _probabilities(model, len(job.data_set.classes), trees, features)
        entry = measured_epoch(job.data_set, epoch, probabilities, train_loss=losses[trees - 1])
        entries.append(entry)
        job.on_epoch(entry)
    return tuple(entries), probabilities


def _probabilities(
    model: CatBoostClassifier, n_classes: int, trees: int, features: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Probabilities (n, n_classes) of the first `trees` trees (0: all); classes absent from training get none."""
    probabilities = np.zeros((len(features), n_classes), dtype=np.float32)
    probabilities[:, model.classes_.astype(int)] = model.predict_proba(features, ntree_end=trees)
    return probabilities
