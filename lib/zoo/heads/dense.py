"""Heads made of dense layers: they differ in the widths of their hidden layers and in how their weights are found."""

from __future__ import annotations

from abc import abstractmethod
from itertools import pairwise
from typing import TYPE_CHECKING

from lib.config import Settings
from lib.records.schema import Option
from lib.zoo.heads.base import Head
from lib.zoo.jobs import TrainingJob, TrainingResult

if TYPE_CHECKING:
    from lib.zoo.dense import FittedNetwork


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

    def train(self, job: TrainingJob) -> TrainingResult:
        """Trains on cached features, or together with the backbone where the recipe says finetune."""
        if job.recipe.finetune:
            from lib.zoo.finetuning import finetuned

            return finetuned(job, self.fitted)
        return self.fitted(job).result


class PerceptronHead(DenseHead):
    """Trained by gradient steps: learning rate, weight decay and dropout are chosen on the validation part."""

    def grid(self, settings: Settings) -> dict[str, tuple[Option, ...]]:
        """Learning rates, weight decays and dropouts."""
        chosen = settings.classification
        return {
            "learning_rate": chosen.mlp_learning_rates,
            "weight_decay": chosen.mlp_weight_decays,
            "dropout": chosen.mlp_dropouts,
        }
