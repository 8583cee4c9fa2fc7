"""The teacher: a perceptron with two hidden layers."""

from __future__ import annotations

from lib.zoo.heads.base import HEADS, TrainingJob, TrainingResult
from lib.zoo.heads.dense import DenseHead

TEACHER_HIDDEN = (128, 64)


@HEADS.register("mlp")
class MlpHead(DenseHead):
    """width–128–64–classes: 57,796 parameters for 384 features and 4 classes."""

    name = "mlp"
    hidden = TEACHER_HIDDEN

    def train(self, job: TrainingJob) -> TrainingResult:
        """As every dense head; on frozen features the trained network is kept for the student of the same sweep."""
        if job.recipe.finetune:
            return super().train(job)
        from lib.zoo.distillation import TEACHERS

        return TEACHERS.train(job, self.hidden).result()
