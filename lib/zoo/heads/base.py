"""The head contract: what a head is given, what it gives back, and how it is registered."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lib.config import Settings
from lib.datasets.base import DataSet
from lib.records import BackboneInfo, EpochEntry, FinalMetrics, Recipe
from lib.records.schema import Task
from lib.registry import Registry

if TYPE_CHECKING:
    import torch

    from lib.zoo.backbones import Backbone


@dataclass(frozen=True)
class TrainingJob:
    """One cell to train.

    `features`: float32 array (n_files, embedding_width) in the order of `data_set.files`; None where the head works on
    images (masks, fine-tuning). `on_epoch` is called after each epoch, for the live table.
    """

    data_set: DataSet
    backbone: Backbone
    recipe: Recipe
    seed: int
    device: torch.device
    features: npt.NDArray[np.float32] | None = None
    on_epoch: Callable[[EpochEntry], None] = field(default=lambda entry: None)


@dataclass(frozen=True)
class TrainingResult:
    """What training a head gives back.

    `predict`, for measuring latency: features of one batch (classification, fine-tuned or not: the head's share) or uint8
    images (masks) → scores; None where there is nothing to time.
    """

    epochs: tuple[EpochEntry, ...]
    final: FinalMetrics
    parameters: int
    training_s: float
    evaluation_s: float
    predict: Callable[[npt.NDArray[Any]], npt.NDArray[np.float32]] | None = None
    notes: tuple[str, ...] = ()


class Head(ABC):
    """Turns features into answers. A head is added by one decorated class: `@HEADS.register("linear")`.

    `HEADS["linear"]()` builds one. `uses_gradient`: whether learning rate, batch size and weight decay mean anything to it;
    `needs_features`: whether it reads the backbone's embeddings of a classification set.
    Head modules import torch only inside `train`, so that listing heads stays quick.
    """

    name: str
    tasks: tuple[Task, ...] = ("classification",)
    needs_network: bool = False
    can_finetune: bool = False
    uses_gradient: bool = True
    needs_features: bool = True

    @abstractmethod
    def parameters(self, embedding_width: int, n_classes: int) -> int:
        """Trainable parameters of the head alone; 0 for heads without any."""

    @abstractmethod
    def train(self, job: TrainingJob) -> TrainingResult:
        """Trains and evaluates; raises CvAutomlError with a reason where the data does not allow it."""

    def options(self, settings: Settings) -> dict[str, float | int | str]:
        """What only this head's recipe holds, from the settings, e.g. `{"neighbours": 5}`; part of the run's key."""
        return {}

    def incompatibility(self, backbone: BackboneInfo, task: Task, finetune: bool) -> str | None:
        """The reason why the pair cannot work, found before anything is trained; None where it can."""
        if task not in self.tasks:
            return f"head '{self.name}' answers {' and '.join(self.tasks)}, the data set asks for {task}"
        if self.needs_network and backbone.family == "handcrafted":
            return f"head '{self.name}' needs a network's feature maps, '{backbone.name}' has none"
        if finetune and not self.can_finetune:
            return f"head '{self.name}' has no gradient to fine-tune a backbone with"
        if finetune and backbone.family == "handcrafted":
            return f"'{backbone.name}' is no network: there is nothing to fine-tune"
        return None


HEADS: Registry[type[Head]] = Registry("head")
