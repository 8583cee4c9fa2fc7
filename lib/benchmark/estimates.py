"""How long a cell will take: what records of this kind of machine say, else a stated rule of thumb."""

from __future__ import annotations

from dataclasses import dataclass, field

from lib.records import BackboneInfo, DataSetInfo, Recipe
from lib.records.costs import Rates
from lib.zoo.heads import HEADS

# Rules of thumb, used where nothing was measured: one busy core of 2024, rounded up. Seconds an image and epoch.
MACS_PER_S = 30e9
READING_S = 0.005
TRAINING_S = {"naive": 0.0, "knn": 0.0, "linear": 2e-4, "mlp": 4e-4, "student": 8e-4, "catboost": 2e-3}
OTHER_TRAINING_S = 0.05
BACKWARD_COST = 3.0
CELL_S = 0.3


@dataclass(frozen=True)
class Estimates:
    """Seconds of a cell before it runs; `rates` of this machine come first."""

    rates: Rates = field(default_factory=Rates)

    @property
    def measured(self) -> bool:
        """Whether anything was measured; else every number is a rule of thumb."""
        return bool(self.rates.training)

    def features_s(self, data_set: DataSetInfo, backbone: BackboneInfo) -> float:
        """Seconds to compute the features of a data set once."""
        measured = self.rates.features_s(backbone.name, data_set.n_images)
        return data_set.n_images * (READING_S + backbone.flops / MACS_PER_S) if measured is None else measured

    def training_s(self, data_set: DataSetInfo, backbone: BackboneInfo, head: str, recipe: Recipe) -> float:
        """Seconds to train and evaluate one cell over its folds, features left out."""
        images = data_set.n_train * len(recipe.folds)
        measured = self.rates.training_s(head, recipe.finetune, backbone.name, images, recipe.epochs)
        if measured is None:
            measured = _rule_of_thumb(backbone, head, recipe) * images * recipe.epochs
        return CELL_S + measured


def needs_features(head: str, data_set: DataSetInfo, recipe: Recipe) -> bool:
    """Whether a cell reads the backbone's embeddings."""
    return data_set.task == "classification" and not recipe.finetune and HEADS[head].needs_features


def _rule_of_thumb(backbone: BackboneInfo, head: str, recipe: Recipe) -> float:
    """Seconds an image and epoch."""
    if recipe.finetune:
        return READING_S + BACKWARD_COST * backbone.flops / MACS_PER_S
    return TRAINING_S.get(head, OTHER_TRAINING_S)
