"""A student learns from its teacher's softened answers; a teacher trained in this process is not trained again."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, replace

from torch import Tensor
from torch.nn import functional as F

from lib.records import Recipe
from lib.zoo.dense import FittedNetwork
from lib.zoo.jobs import TrainingJob
from lib.zoo.perceptron import cross_entropy, fitted_perceptron
from lib.zoo.standardisation import features_of

TEACHERS_KEPT = 16


def distillation_loss(
    student: Tensor, teacher: Tensor, labels: Tensor, temperature: float, weight: float
) -> Tensor:
    """weight·T²·KL(teacher_T ‖ student_T) + (1 − weight)·cross-entropy: (n_points, batch).

    `student` logits (n_points, batch, n_classes), `teacher` logits (batch, n_classes), `labels` (batch,);
    p_T = softmax(logits / T). T² keeps the size of the soft gradient when T changes (Hinton et al. 2015,
    arXiv:1503.02531, section 2.1).
    """
    target = F.log_softmax(teacher / temperature, dim=1).expand_as(student)
    answer = F.log_softmax(student / temperature, dim=2)
    soft = F.kl_div(answer, target, reduction="none", log_target=True).sum(dim=2)
    return weight * temperature**2 * soft + (1 - weight) * cross_entropy(student, labels, labels)


def fitted_student(
    job: TrainingJob, hidden: tuple[int, ...], teacher_hidden: tuple[int, ...]
) -> FittedNetwork:
    """The student chosen from the grid; training seconds include the teacher's, whether it was shared or not."""
    teacher = TEACHERS.get(_teacher_job(job), teacher_hidden)
    temperature, weight = (float(job.recipe.options[n]) for n in ("temperature", "distillation_weight"))

    def objective(logits: Tensor, labels: Tensor, rows: Tensor) -> Tensor:
        return distillation_loss(logits, teacher.logits[rows], labels, temperature, weight)

    return fitted_perceptron(job, hidden, objective, earlier_s=teacher.training_s, notes=(teacher.note,))


def _teacher_job(job: TrainingJob) -> TrainingJob:
    return replace(job, recipe=teacher_recipe(job.recipe), on_epoch=lambda entry: None)


def teacher_recipe(recipe: Recipe) -> Recipe:
    """The recipe of the student's teacher: its own without what only a student needs, i.e. that of the `mlp` head."""
    return recipe.model_copy(update={"options": {}})


@dataclass(frozen=True)
class Teacher:
    """What a student needs of its teacher: `logits` of all files (n_files, n_classes), on the device."""

    logits: Tensor
    training_s: float
    note: str


class TeacherShelf:
    """The last few teachers trained in this process, by everything that decides their weights."""

    def __init__(self, kept: int = TEACHERS_KEPT) -> None:
        self._kept = kept
        self._teachers: OrderedDict[str, Teacher] = OrderedDict()

    def train(self, job: TrainingJob, hidden: tuple[int, ...]) -> FittedNetwork:
        """Trains the job anew and shelves its answers."""
        fitted = fitted_perceptron(job, hidden)
        chosen = ", ".join(f"{name} {value:g}" for name, value in fitted.result.chosen.items())
        self._teachers[_job_digest(job, hidden)] = Teacher(
            fitted.logits(features_of(job)),
            fitted.result.training_s,
            f"teacher mlp of the same seed: {chosen}",
        )
        while len(self._teachers) > self._kept:
            self._teachers.popitem(last=False)
        return fitted

    def get(self, job: TrainingJob, hidden: tuple[int, ...]) -> Teacher:
        """The identical teacher from the shelf, else from a training of its own: the numbers are the same."""
        digest = _job_digest(job, hidden)
        if digest not in self._teachers:
            self.train(job, hidden)
        return self._teachers[digest]


TEACHERS = TeacherShelf()


def _job_digest(job: TrainingJob, hidden: tuple[int, ...]) -> str:
    deciding = (
        job.data_set.fingerprint,
        job.data_set.split_hash,
        job.recipe.model_dump_json(),
        job.seed,
        str(job.device),
        hidden,
    )
    digest = hashlib.sha256(repr(deciding).encode())
    digest.update(features_of(job).tobytes())
    return digest.hexdigest()
