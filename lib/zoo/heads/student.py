"""The student: a smaller perceptron that learns from the teacher's softened answers (Hinton et al. 2015, arXiv:1503.02531)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lib.config import Settings
from lib.records import BackboneInfo
from lib.records.schema import Option, Task
from lib.zoo.heads.base import HEADS
from lib.zoo.heads.dense import PerceptronHead
from lib.zoo.heads.mlp import TEACHER_HIDDEN
from lib.zoo.jobs import TrainingJob

if TYPE_CHECKING:
    from lib.zoo.dense import FittedNetwork


@HEADS.register("student")
class StudentHead(PerceptronHead):
    """width–64–32–classes: 26,852 parameters for 384 features and 4 classes; its teacher is the `mlp` of the same seed."""

    name = "student"
    hidden = (64, 32)
    can_finetune = False

    def options(self, settings: Settings) -> dict[str, Option]:
        """The temperature, and the share of the soft targets in the loss."""
        return {
            "temperature": settings.classification.distillation_temperature,
            "distillation_weight": settings.classification.distillation_weight,
        }

    def fitted(self, job: TrainingJob) -> FittedNetwork:
        """Trains the teacher first, unless the identical one was trained in this process; its seconds count as training."""
        from lib.zoo.distillation import fitted_student

        return fitted_student(job, self.hidden, TEACHER_HIDDEN)

    def incompatibility(self, backbone: BackboneInfo, task: Task, finetune: bool) -> str | None:
        """As every head, with the way out for fine-tuning."""
        if finetune and task in self.tasks:
            return "head 'student' is distilled on frozen features: fine-tune 'linear' or 'mlp' instead"
        return super().incompatibility(backbone, task, finetune)
