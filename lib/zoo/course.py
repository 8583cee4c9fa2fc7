"""How training on images goes, from a recipe: learning rates over time and over layers, the optimizer, and who is drawn how often."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from lib.records import Recipe
from lib.zoo.preprocessing import Indices

LAST = "last"
STEPS_OF_DECAY = 3
USUAL_DEPTH = 14  # of timm's groups in a ViT: embedding, twelve blocks, norm


class Schedule(Protocol):
    """Sets an optimizer's learning rates."""

    def step(self) -> None:
        """After each step of the optimizer."""


def cosine(optimizer: torch.optim.Optimizer, epochs: int, steps: int) -> Schedule:
    """From the learning rates to 0 along a cosine over all steps."""
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs * steps)


@dataclass(frozen=True)
class Course:
    """How training goes, from a recipe's options; see `lib.config.ImageTraining`."""

    name: str
    warmup_epochs: int
    largest_gradient: float
    keep: str
    patience: int

    @classmethod
    def of(cls, recipe: Recipe) -> Course:
        """What the options do not say is as plain as can be."""
        given = recipe.options
        return cls(
            name=recipe.schedule,
            warmup_epochs=int(given.get("warmup_epochs", 0)),
            largest_gradient=float(given.get("largest_gradient", 0.0)),
            keep=str(given.get("keep", LAST)),
            patience=int(given.get("patience", 0)),
        )

    def schedule(self, optimizer: torch.optim.Optimizer, epochs: int, steps: int) -> Schedule:
        """One of timm's, updated after each step; the warm-up belongs to the epochs."""
        if self.name == "cosine" and not self.warmup_epochs:
            return cosine(optimizer, epochs, steps)
        return _TimmSchedule(self, optimizer, epochs, steps)


class _TimmSchedule:
    """Counts the steps, which timm's schedules want to be told."""

    def __init__(self, course: Course, optimizer: torch.optim.Optimizer, epochs: int, steps: int) -> None:
        from timm.scheduler import create_scheduler_v2

        names = {"linear": "poly", "constant": "multistep"}
        self.inner, _ = create_scheduler_v2(
            optimizer,
            sched=names.get(course.name, course.name),
            num_epochs=epochs,
            decay_epochs=max(epochs // STEPS_OF_DECAY, 1),
            decay_rate=1.0 if course.name == "linear" else 0.1,
            decay_milestones=[],
            warmup_epochs=course.warmup_epochs,
            warmup_prefix=False,
            warmup_lr=0.0,
            step_on_epochs=False,
            updates_per_epoch=steps,
        )
        self.n_steps = 0
        self.inner.step_update(num_updates=0)

    def step(self) -> None:
        self.n_steps += 1
        self.inner.step_update(num_updates=self.n_steps)


def optimizer_of(recipe: Recipe, head: nn.Module, backbone: nn.Module | None = None) -> torch.optim.Optimizer:
    """The recipe's optimizer with the head's learning rate for the head; the small one for a backbone that is trained with it, less
    by `layer_decay` for each layer below the top (timm's groups), and no weight decay on its norms and biases."""
    groups: list[dict[str, Any]] = [
        {"params": list(head.parameters()), "lr": recipe.learning_rate, "weight_decay": recipe.weight_decay}
    ]
    if backbone:
        groups += _backbone_groups(recipe, backbone)
    kinds: dict[str, Any] = {
        "adamw": torch.optim.AdamW,
        "adam": torch.optim.Adam,
        "sgd": partial(torch.optim.SGD, momentum=0.9, nesterov=True),
    }
    made: torch.optim.Optimizer = kinds[recipe.optimizer](groups)
    return made


def _backbone_groups(recipe: Recipe, backbone: nn.Module) -> list[dict[str, Any]]:
    """A network that does not tell timm its layers is trained at one rate."""
    rate = float(recipe.options["backbone_learning_rate"])
    decay = float(recipe.options.get("layer_decay", 1.0))
    if decay == 1.0 or not hasattr(backbone, "group_matcher"):
        return [{"params": list(backbone.parameters()), "lr": rate, "weight_decay": recipe.weight_decay}]
    from timm.optim import param_groups_layer_decay

    scaled = partial(param_groups_layer_decay, backbone, weight_decay=recipe.weight_decay)
    # timm counts forty layers in some convolutional networks: the bottom is to get what it gets in a ViT of twelve blocks.
    depth = len({group["lr_scale"] for group in scaled(layer_decay=0.5)})
    groups = scaled(layer_decay=decay ** min(1.0, USUAL_DEPTH / depth))
    names = ("params", "weight_decay")
    return [{**{n: group[n] for n in names}, "lr": rate * group["lr_scale"]} for group in groups]


def sampled(
    rows: Indices, order: np.random.Generator, sampling: str, groups: npt.NDArray[np.int64]
) -> Indices:
    """The rows of one epoch, shuffled: `natural` takes each once, `balanced` draws as many with replacement so that each of the
    `groups` (n_rows,), e.g. class labels, is drawn equally often."""
    if sampling == "natural":
        return order.permutation(rows)
    _, which, counts = np.unique(groups, return_inverse=True, return_counts=True)
    shares = 1 / counts[which]
    return order.choice(rows, size=len(rows), p=shares / shares.sum())
