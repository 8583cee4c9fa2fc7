"""The trivial rival: always the majority class, or an empty mask."""

from __future__ import annotations

import time

import numpy as np

from lib.records.schema import Task
from lib.zoo.heads.base import HEADS, Head, TrainingJob, TrainingResult
from lib.zoo.heads.constant import constant_epochs
from lib.zoo.metrics import final_metrics, labels_of


@HEADS.register("naive")
class NaiveHead(Head):
    """Answers every image with the class shares of the train part: the majority class, at the best constant log loss."""

    name = "naive"
    tasks: tuple[Task, ...] = ("classification", "segmentation")
    uses_gradient = False
    needs_features = False

    def parameters(self, embedding_width: int, n_classes: int) -> int:
        """None that are trained."""
        return 0

    def train(self, job: TrainingJob) -> TrainingResult:
        """Counts the classes of the train part; for masks the empty mask is scored."""
        if job.data_set.task == "segmentation":
            from lib.zoo.segmentation import naive_result

            return naive_result(job)
        started = time.perf_counter()
        labels = labels_of(job.data_set)[job.data_set.indices("train")]
        shares = np.bincount(labels, minlength=len(job.data_set.classes)) / max(len(labels), 1)
        probabilities = np.tile(shares, (len(job.data_set), 1))
        trained = time.perf_counter()
        epochs = constant_epochs(job, probabilities)
        final = final_metrics(job.data_set, probabilities)
        return TrainingResult(
            epochs=epochs,
            final=final,
            parameters=0,
            training_s=trained - started,
            evaluation_s=time.perf_counter() - trained,
        )
