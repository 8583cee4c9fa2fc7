"""Losses by name, for classes and for masks: `focal`, weighted sums such as `0.5*bce+dice`, and a switch at an epoch, `focal@5`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from lib.errors import ConfigError
from lib.registry import unknown_name

if TYPE_CHECKING:
    from torch import Tensor

Kind = Literal["classes", "multilabel", "multiclass"]
Loss = Callable[["Tensor", "Tensor"], "Tensor"]

SMOOTHING = 0.1
FOCUS = 2.0
MISSES_WEIGHT = 0.7
"""Of Tversky's index: a missed pixel weighs more than a false one (Salehi et al. 2017, arXiv:1706.05721)."""

REGIONS = ("dice", "jaccard", "lovasz", "tversky", "focal")
NAMES: Mapping[Kind, tuple[str, ...]] = {
    "classes": ("cross_entropy", "label_smoothing", "focal", "bce"),
    "multilabel": ("bce", *REGIONS),
    "multiclass": ("cross_entropy", "label_smoothing", *REGIONS),
}
TERM = re.compile(r"(?:(?P<weight>\d+(?:\.\d*)?|\.\d+)\s*\*\s*)?(?P<name>\w+)")


@dataclass(frozen=True)
class Stage:
    """From epoch `first` (1 for the first) on: the sum of `terms`, (weight, name)."""

    first: int
    terms: tuple[tuple[float, str], ...]


def stages_of(parts: Sequence[str], kind: Kind) -> list[Stage]:
    """Losses such as `["cross_entropy", "0.5*focal+label_smoothing@5"]` in the order in which they take over.

    Raises ConfigError for an unknown name, one that does not fit `kind`, or a switch that does not follow in time.

    >>> stages_of(["cross_entropy", "0.5*focal+bce@5"], "classes")[1]
    Stage(first=5, terms=((0.5, 'focal'), (1.0, 'bce')))
    """
    stages = [_stage(part, kind) for part in parts]
    firsts = [stage.first for stage in stages]
    if not stages or firsts[0] != 1 or firsts != sorted(set(firsts)):
        raise ConfigError(
            f"loss {', '.join(parts)}: the first holds from epoch 1, the others need a later epoch each, e.g. focal@5"
        )
    return stages


def _stage(part: str, kind: Kind) -> Stage:
    text, at, epoch = part.partition("@")
    if at and not epoch.strip().isdecimal():
        raise ConfigError(f"loss {part}: expected an epoch after @, e.g. focal@5")
    return Stage(int(epoch) if at else 1, tuple(_term(term.strip(), kind) for term in text.split("+")))


def _term(term: str, kind: Kind) -> tuple[float, str]:
    match = TERM.fullmatch(term)
    if match is None:
        raise ConfigError(f"loss {term!r}: expected a name or weight*name, e.g. 0.5*focal")
    name = match["name"]
    if name not in NAMES[kind]:
        elsewhere = [other for other in NAMES if name in NAMES[other]]
        why = f"loss '{name}' is for {' and '.join(elsewhere)}, not for {kind}; one of {', '.join(NAMES[kind])} is"
        raise ConfigError(why if elsewhere else unknown_name("loss", name, sorted(NAMES[kind])))
    return float(match["weight"] or 1), name


def loss_of(text: str, kind: Kind, epoch: int = 1, class_weights: Tensor | None = None) -> Loss:
    """The loss that holds in `epoch`: logits and targets → a scalar. `text`: losses as a recipe holds them, divided by commas.

    classes: logits (n, n_classes), targets int64 (n,) or shares (n, n_classes). multilabel: logits and float targets
    (n, n_classes, h, w). multiclass: logits (n, 1 + n_classes, h, w), background first, targets int64 (n, h, w).
    `class_weights` (n_classes,): of each class in the losses of `classes`.
    """
    parts = [part.strip() for part in text.split(",")]
    terms = [stage for stage in stages_of(parts, kind) if stage.first <= epoch][-1].terms
    losses = [(weight, _named(name, kind, class_weights)) for weight, name in terms]

    def total(logits: Tensor, targets: Tensor) -> Tensor:
        summed: Any = sum(weight * loss(logits, targets) for weight, loss in losses)
        return summed

    return total


def _named(name: str, kind: Kind, class_weights: Tensor | None) -> Loss:
    from torch.nn import functional

    if kind == "classes":
        return _class_loss(name, class_weights)
    if name == "bce":
        return functional.binary_cross_entropy_with_logits
    if name in ("cross_entropy", "label_smoothing"):
        smoothing = SMOOTHING if name == "label_smoothing" else 0.0
        return lambda logits, targets: functional.cross_entropy(logits, targets, label_smoothing=smoothing)
    return _region_loss(name, kind)


def _region_loss(name: str, kind: Kind) -> Loss:
    import segmentation_models_pytorch as smp

    losses: dict[str, Callable[[], Any]] = {
        "dice": lambda: smp.losses.DiceLoss(kind, from_logits=True),
        "jaccard": lambda: smp.losses.JaccardLoss(kind, from_logits=True),
        "lovasz": lambda: smp.losses.LovaszLoss(kind, per_image=False, from_logits=True),
        "tversky": lambda: smp.losses.TverskyLoss(kind, alpha=1 - MISSES_WEIGHT, beta=MISSES_WEIGHT),
        "focal": lambda: smp.losses.FocalLoss(kind, gamma=FOCUS),
    }
    return losses[name]()


def _class_loss(name: str, weights: Tensor | None) -> Loss:
    import torch
    from torch.nn import functional

    def shares(logits: Tensor, targets: Tensor) -> Tensor:
        return (
            targets if targets.is_floating_point() else functional.one_hot(targets, logits.shape[1]).float()
        )

    def focal(logits: Tensor, targets: Tensor) -> Tensor:
        # Lin et al. 2017, arXiv:1708.02002, over classes and with shares in place of labels.
        logs = logits.log_softmax(dim=1)
        weighted = shares(logits, targets) * (1 if weights is None else weights)
        return -(weighted * (1 - logs.exp()) ** FOCUS * logs).sum(dim=1).mean()

    def one_against_all(logits: Tensor, targets: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(logits, shares(logits, targets), weights)

    smoothing = SMOOTHING if name == "label_smoothing" else 0.0
    cross_entropy = torch.nn.CrossEntropyLoss(weights, label_smoothing=smoothing)
    return {"focal": focal, "bce": one_against_all}.get(name, cross_entropy)
