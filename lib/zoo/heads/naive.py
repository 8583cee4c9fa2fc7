"""The trivial rival: always the majority class, or an empty mask."""

from __future__ import annotations

import numpy as np

from lib.records.schema import Task
from lib.zoo.heads.base import HEADS, Head
from lib.zoo.jobs import Stage, TrainingJob, TrainingResult, tuned_result
from lib.zoo.metrics import Judge, labels_of


@HEADS.register("naive")
class NaiveHead(Head):
    """Answers every image with the class shares of the train part: the majority class, at the best constant log loss."""

    name = "naive"
    tasks: tuple[Task, ...] = ("classification", "segmentation")
    uses_gradient = False
    needs_features = False

    def train(self, job: TrainingJob) -> TrainingResult:
        """Counts the classes of the train part; for masks the empty mask is scored."""
        if job.data_set.task == "segmentation":
            from lib.zoo.segmentation.training import naive_result

            return naive_result(job)
        labels = labels_of(job.data_set)[job.data_set.indices("train")]
        shares = np.bincount(labels, minlength=len(job.data_set.classes)) / max(len(labels), 1)
        stage = Stage(np.tile(shares, (1, len(Judge.of(job.data_set).rows), 1)))
        return tuned_result(job, [stage] * job.recipe.epochs)[1]
