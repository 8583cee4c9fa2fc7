"""The teacher: a perceptron with two hidden layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lib.zoo.heads.base import HEADS
from lib.zoo.heads.dense import PerceptronHead
from lib.zoo.jobs import TrainingJob

if TYPE_CHECKING:
    from lib.zoo.dense import FittedNetwork

TEACHER_HIDDEN = (128, 64)


@HEADS.register("mlp")
class MlpHead(PerceptronHead):
    """width–128–64–classes: 57,796 parameters for 384 features and 4 classes."""

    name = "mlp"
    hidden = TEACHER_HIDDEN

    def fitted(self, job: TrainingJob) -> FittedNetwork:
        """The chosen network; the student of the same sweep learns from it."""
        from lib.zoo.distillation import TEACHERS

        return TEACHERS.train(job, self.hidden)
