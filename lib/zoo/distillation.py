"""A student learns from its teacher's softened answers; a teacher trained in this process is not trained again."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from torch import Tensor
from torch.nn import functional as F

from lib.records import Recipe
from lib.zoo.dense import FittedNetwork
from lib.zoo.jobs import TrainingJob, features_of
from lib.zoo.perceptron import cross_entropy, fitted_perceptron

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
    recipe = teacher_recipe(job.recipe)
    teacher = TEACHERS.get(replace(job, recipe=recipe, on_epoch=lambda entry: None), teacher_hidden)
    answers = teacher.logits(features_of(job))
    temperature, weight = (float(job.recipe.options[n]) for n in ("temperature", "distillation_weight"))

    def objective(logits: Tensor, labels: Tensor, rows: Tensor) -> Tensor:
        return distillation_loss(logits, answers[rows], labels, temperature, weight)

    fitted = fitted_perceptron(job, hidden, objective)
    chosen = ", ".join(f"{name} {value:g}" for name, value in teacher.result.chosen.items())
    return fitted.told(
        training_s=fitted.result.training_s + teacher.result.training_s,
        notes=(f"teacher mlp of the same seed: {chosen}",),
    )


def teacher_recipe(recipe: Recipe) -> Recipe:
    """The recipe of the student's teacher: its own without what only a student needs, i.e. that of the `mlp` head."""
    return recipe.model_copy(update={"options": {}})


class TeacherShelf:
    """The last few teachers trained in this process, by everything that decides their weights."""

    def __init__(self, kept: int = TEACHERS_KEPT) -> None:
        self._kept = kept
        self._teachers: dict[str, FittedNetwork] = {}

    def train(self, job: TrainingJob, hidden: tuple[int, ...]) -> FittedNetwork:
        """Trains the job anew and shelves the network."""
        fitted = fitted_perceptron(job, hidden)
        # Without the pair, which would keep a backbone in memory for each teacher on the shelf.
        self._teachers[_job_digest(job, hidden)] = fitted.told(network=None)
        while len(self._teachers) > self._kept:
            del self._teachers[next(iter(self._teachers))]
        return fitted

    def get(self, job: TrainingJob, hidden: tuple[int, ...]) -> FittedNetwork:
        """The identical teacher from the shelf, else from a training of its own: the numbers are the same."""
        digest = _job_digest(job, hidden)
        return self._teachers.get(digest) or self.train(job, hidden)


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
