"""A student learns from its teacher's softened answers; a teacher trained in this process is not trained again."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, replace

from torch import Tensor
from torch.nn import functional as F

from lib.records import Recipe
from lib.zoo.heads.base import TrainingJob, TrainingResult
from lib.zoo.perceptron import FeatureTensors, Objective, TrainedNetwork, trained_on_features
from lib.zoo.standardisation import features_of

STUDENT_OPTIONS = ("temperature", "distillation_weight")
TEACHERS_KEPT = 16


def distillation_loss(
    student: Tensor,
    teacher: Tensor,
    labels: Tensor,
    temperature: float,
    weight: float,
    smoothing: float = 0.0,
) -> Tensor:
    """weight·T²·KL(teacher_T ‖ student_T) + (1 − weight)·cross-entropy, mean over the batch.

    `student` and `teacher` logits (batch, n_classes), `labels` (batch,); p_T = softmax(logits / T). T² keeps the size of
    the soft gradient when T changes (Hinton et al. 2015, arXiv:1503.02531, section 2.1).
    """
    soft = F.kl_div(
        F.log_softmax(student / temperature, dim=1),
        F.log_softmax(teacher / temperature, dim=1),
        reduction="batchmean",
        log_target=True,
    )
    hard = F.cross_entropy(student, labels, label_smoothing=smoothing)
    return weight * temperature**2 * soft + (1 - weight) * hard


def trained_student(
    job: TrainingJob, hidden: tuple[int, ...], teacher_hidden: tuple[int, ...]
) -> TrainingResult:
    """The student after its last epoch; training seconds include the teacher's, whether it was shared or not."""
    teacher_job = replace(job, recipe=teacher_recipe(job.recipe), on_epoch=lambda entry: None)
    teacher = TEACHERS.get(teacher_job, teacher_hidden)
    options = job.recipe.options

    def objective(tensors: FeatureTensors) -> Objective:
        def loss(logits: Tensor, rows: Tensor) -> Tensor:
            return distillation_loss(
                logits,
                teacher.logits[rows],
                tensors.labels[rows],
                float(options["temperature"]),
                float(options["distillation_weight"]),
                float(options["label_smoothing"]),
            )

        return loss

    student = trained_on_features(job, hidden, objective)
    note = f"teacher mlp of the same seed: test accuracy {teacher.test_accuracy:.4f}"
    return student.result(earlier_s=teacher.training_s, notes=(note,))


def teacher_recipe(recipe: Recipe) -> Recipe:
    """The recipe of the student's teacher: its own without what only a student needs, i.e. that of the `mlp` head."""
    kept = {name: value for name, value in recipe.options.items() if name not in STUDENT_OPTIONS}
    return recipe.model_copy(update={"options": kept})


@dataclass(frozen=True)
class Teacher:
    """What a student needs of its teacher: `logits` of all files (n_files, n_classes), on the device."""

    logits: Tensor
    training_s: float
    test_accuracy: float


class TeacherShelf:
    """The last few teachers trained in this process, by everything that decides their weights."""

    def __init__(self, kept: int = TEACHERS_KEPT) -> None:
        self._kept = kept
        self._teachers: OrderedDict[str, Teacher] = OrderedDict()

    def train(self, job: TrainingJob, hidden: tuple[int, ...]) -> TrainedNetwork:
        """Trains the job anew and shelves its answers."""
        trained = trained_on_features(job, hidden)
        accuracy = trained.epochs[-1].test["accuracy"]
        self._teachers[_job_digest(job, hidden)] = Teacher(trained.logits(), trained.training_s, accuracy)
        while len(self._teachers) > self._kept:
            self._teachers.popitem(last=False)
        return trained

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
