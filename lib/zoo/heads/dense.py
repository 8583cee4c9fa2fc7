"""Heads made of dense layers: they differ in the widths of their hidden layers and in how their weights are found."""

from __future__ import annotations

from abc import abstractmethod
from itertools import pairwise
from typing import TYPE_CHECKING

from lib.config import Settings
from lib.records import BackboneInfo, Recipe
from lib.records.schema import Option, Task
from lib.zoo.base import Backbone
from lib.zoo.heads.base import HEADS, Head
from lib.zoo.jobs import TrainingJob, TrainingResult

if TYPE_CHECKING:
    import torch

    from lib.zoo.dense import FittedNetwork

TEACHER_HIDDEN = (128, 64)


class DenseHead(Head):
    """Embedding → hidden layers (ReLU, dropout) → one logit a class, on features standardised by the train part."""

    hidden: tuple[int, ...] = ()
    can_finetune = True

    @abstractmethod
    def fitted(self, job: TrainingJob) -> FittedNetwork:
        """The network found on cached features, chosen from the recipe's grid, with its result."""

    def parameters(self, embedding_width: int, n_classes: int) -> int:
        """Weights and biases of every layer; the standardisation is no parameter."""
        return sum((n_in + 1) * n_out for n_in, n_out in pairwise((embedding_width, *self.hidden, n_classes)))

    def network(self, backbone: Backbone, recipe: Recipe, n_classes: int) -> torch.nn.Module:
        """Backbone, standardisation and layers as one network, frozen or fine-tuned alike."""
        from lib.zoo.pair_networks import untrained_pair

        widths = (backbone.info.embedding_width, *self.hidden, n_classes)
        return untrained_pair(backbone.feature_module(), widths, str(recipe.options.get("tta", "none")))

    def train(self, job: TrainingJob) -> TrainingResult:
        """Trains on cached features, or together with the backbone where the recipe says finetune."""
        if job.recipe.finetune:
            from lib.zoo.finetuning import finetuned

            return finetuned(job, self.fitted)
        return self.fitted(job).result


@HEADS.register("linear")
class LinearHead(DenseHead):
    """width·classes + classes parameters: 1,540 for 384 features and 4 classes."""

    name = "linear"
    uses_gradient = False

    def grid(self, settings: Settings) -> dict[str, tuple[Option, ...]]:
        """The penalty's inverse strength, as scikit-learn counts it."""
        return {"C": settings.classification.linear_c}

    def fitted(self, job: TrainingJob) -> FittedNetwork:
        """Logistic regression to convergence."""
        from lib.zoo.logistic import fitted_logistic

        return fitted_logistic(job)


@HEADS.register("mlp")
class MlpHead(DenseHead):
    """width–128–64–classes: 57,796 parameters for 384 features and 4 classes."""

    name = "mlp"
    hidden = TEACHER_HIDDEN

    def grid(self, settings: Settings) -> dict[str, tuple[Option, ...]]:
        """Trained by gradient steps: learning rate, weight decay and dropout are chosen on the validation part."""
        chosen = settings.classification
        return {
            "learning_rate": chosen.mlp_learning_rates,
            "weight_decay": chosen.mlp_weight_decays,
            "dropout": chosen.mlp_dropouts,
        }

    def fitted(self, job: TrainingJob) -> FittedNetwork:
        """The chosen network; the student of the same sweep learns from it."""
        from lib.zoo.distillation import TEACHERS

        return TEACHERS.train(job, self.hidden)


@HEADS.register("student")
class StudentHead(MlpHead):
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
            return (
                f"head '{self.name}' learns from frozen features alone: fine-tune 'linear' or 'mlp' instead"
            )
        return super().incompatibility(backbone, task, finetune)
