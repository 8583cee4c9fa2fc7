"""How long a cell will take: from the records of similar cells on the same kind of machine, else by a stated rule of thumb."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median

from lib.records import BackboneInfo, DataSetInfo, Recipe, RunRecord
from lib.zoo.heads import HEADS

# Rules of thumb, used where nothing was measured: one busy core of 2024, rounded up.
MACS_PER_S = 30e9
READING_S = 0.005
TRAINING_S = {"naive": 0.0, "knn": 0.0, "linear": 5e-5, "mlp": 1e-4, "student": 2e-4, "catboost": 1e-3}
OTHER_TRAINING_S = 0.05
BACKWARD_COST = 3.0
CELL_S = 0.3


@dataclass(frozen=True)
class Rates:
    """Seconds an image (features) and an image and epoch (training), medians over records of this kind of machine."""

    features: dict[str, float] = field(default_factory=dict)
    training: dict[tuple[str, str | None, bool], float] = field(default_factory=dict)

    @classmethod
    def of(cls, records: Iterable[RunRecord], device: str, threads: int) -> Rates:
        """Rates from the finished records that ran on `device` with `threads`."""
        features: defaultdict[str, list[float]] = defaultdict(list)
        training: defaultdict[tuple[str, str | None, bool], list[float]] = defaultdict(list)
        for record in records:
            where = (record.environment.device, record.environment.threads)
            if record.status != "finished" or where != (device, threads):
                continue
            if record.timing.features_s > 0:
                rate = record.timing.features_s / max(record.data_set.n_images, 1)
                features[record.backbone.name].append(rate)
            seconds = record.timing.training_s + record.timing.evaluation_s
            rate = seconds / (max(record.data_set.n_images, 1) * record.recipe.epochs)
            for backbone in (record.backbone.name, None):
                training[record.head.name, backbone, record.recipe.finetune].append(rate)
        return cls({k: median(v) for k, v in features.items()}, {k: median(v) for k, v in training.items()})

    @property
    def measured(self) -> bool:
        """Whether anything was measured; else every number is a rule of thumb."""
        return bool(self.training)

    def needs_features(self, head: str, data_set: DataSetInfo, recipe: Recipe) -> bool:
        """Whether a cell reads the backbone's embeddings."""
        return data_set.task == "classification" and not recipe.finetune and HEADS[head].needs_features

    def features_s(self, data_set: DataSetInfo, backbone: BackboneInfo) -> float:
        """Seconds to compute the features of a data set once."""
        rule_of_thumb = READING_S + backbone.flops / MACS_PER_S
        return self.features.get(backbone.name, rule_of_thumb) * data_set.n_images

    def training_s(self, data_set: DataSetInfo, backbone: BackboneInfo, head: str, recipe: Recipe) -> float:
        """Seconds to train and evaluate one cell, features left out."""
        for name in (backbone.name, None):
            rate = self.training.get((head, name, recipe.finetune))
            if rate is not None:
                return CELL_S + rate * data_set.n_images * recipe.epochs
        return CELL_S + _rule_of_thumb(backbone, head, recipe) * data_set.n_images * recipe.epochs


def _rule_of_thumb(backbone: BackboneInfo, head: str, recipe: Recipe) -> float:
    """Seconds an image and epoch."""
    if recipe.finetune:
        return READING_S + BACKWARD_COST * backbone.flops / MACS_PER_S
    return TRAINING_S.get(head, OTHER_TRAINING_S)
