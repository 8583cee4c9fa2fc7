"""Heads made of dense layers: they differ in the widths of their hidden layers and in what they learn from."""

from __future__ import annotations

from itertools import pairwise

from lib.config import Settings
from lib.zoo.heads.base import Head, TrainingJob, TrainingResult


class DenseHead(Head):
    """Embedding → hidden layers (ReLU, dropout) → one logit a class, on features standardised by the train part."""

    hidden: tuple[int, ...] = ()
    can_finetune = True

    def parameters(self, embedding_width: int, n_classes: int) -> int:
        """Weights and biases of every layer; the standardisation is no parameter."""
        return sum((n_in + 1) * n_out for n_in, n_out in pairwise((embedding_width, *self.hidden, n_classes)))

    def options(self, settings: Settings) -> dict[str, float | int | str]:
        """Label smoothing, and dropout where there is a hidden layer."""
        smoothing = {"label_smoothing": settings.classification.label_smoothing}
        return {**smoothing, "dropout": settings.classification.dropout} if self.hidden else dict(smoothing)

    def train(self, job: TrainingJob) -> TrainingResult:
        """Trains on cached features, or together with the backbone where the recipe says finetune."""
        if job.recipe.finetune:
            from lib.zoo.finetuning import finetuned

            return finetuned(job, self.hidden)
        from lib.zoo.perceptron import trained_on_features

        return trained_on_features(job, self.hidden).result()
