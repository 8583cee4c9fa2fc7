"""The student's layers trained on the labels alone: how far the student is ahead of it is what distillation bought."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lib.config import Settings
from lib.records.schema import Option
from lib.zoo.heads.base import HEADS
from lib.zoo.heads.dense import StudentHead
from lib.zoo.jobs import TrainingJob

if TYPE_CHECKING:
    from lib.zoo.dense import FittedNetwork


@HEADS.register("student_alone")
class StudentAloneHead(StudentHead):
    """width–64–32–classes with the grid of `mlp` and `student`, and no teacher: the rival of distillation."""

    name = "student_alone"

    def options(self, settings: Settings) -> dict[str, Option]:
        """None: temperature and weight are the teacher's."""
        return {}

    def fitted(self, job: TrainingJob) -> FittedNetwork:
        """The network of the grid that does best on the validation part."""
        from lib.zoo.perceptron import fitted_perceptron

        return fitted_perceptron(job, self.hidden)
