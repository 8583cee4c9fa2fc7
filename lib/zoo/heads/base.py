"""The head contract, and how a head is registered."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from lib.config import Settings
from lib.errors import IncompatiblePairError
from lib.records import BackboneInfo, Recipe
from lib.records.schema import Option, Task
from lib.registry import Registry
from lib.zoo.base import Backbone
from lib.zoo.jobs import TrainingJob, TrainingResult

if TYPE_CHECKING:
    import torch


class Head(ABC):
    """Turns features into answers. A head is added by one decorated class: `@HEADS.register("linear")`.

    `HEADS["linear"]()` builds one. `uses_gradient`: whether learning rate, batch size and weight decay mean anything to it;
    `needs_features`: whether it reads the backbone's embeddings of a classification set.
    Head modules import torch only inside `train`, so that listing heads stays quick.
    """

    name: str
    version: int = 2  # raised whenever the same recipe gives other numbers
    tasks: tuple[Task, ...] = ("classification",)
    needs_network: bool = False
    can_finetune: bool = False
    uses_gradient: bool = True
    needs_features: bool = True
    rate_factor: float = 1.0  # of the settings' learning rate

    def parameters(self, embedding_width: int, n_classes: int) -> int:
        """Trainable parameters of the head alone; 0 for heads without any: the leaves of trees are not counted."""
        return 0

    def network(self, backbone: Backbone, recipe: Recipe, n_classes: int) -> torch.nn.Module:
        """The pair untrained, of the shape of `TrainingResult.network()`: kept weights are loaded into it.

        Raises IncompatiblePairError where the pair is no network.
        """
        raise IncompatiblePairError(f"head '{self.name}' is no network: its models cannot be kept")

    @abstractmethod
    def train(self, job: TrainingJob) -> TrainingResult:
        """Trains and evaluates; raises CvAutomlError with a reason where the data does not allow it."""

    def options(self, settings: Settings) -> dict[str, Option]:
        """What only this head's recipe holds, from the settings, e.g. `{"iterations": 200}`; part of the run's key."""
        return {}

    def grid(self, settings: Settings) -> dict[str, tuple[Option, ...]]:
        """Setting → the values tried of it; their product is trained as one batch and chosen from on validation."""
        return {}

    def suits(self, backbone: BackboneInfo) -> bool:
        """Whether `--head all` pairs it with the backbone; named, it is paired with any that it can work with."""
        return True

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
