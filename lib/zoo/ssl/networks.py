"""Student and teacher: a backbone under a projection, of which some parameters are trained and the others stay."""

from __future__ import annotations

import copy
import re
from typing import Any

import torch
from torch import Tensor, nn

from lib.config import SslSettings
from lib.errors import CvAutomlError, IncompatiblePairError
from lib.zoo.base import Backbone
from lib.zoo.jobs import Standardisation
from lib.zoo.loading import CUT_PREFIX
from lib.zoo.preprocessing import normalised_tensor
from lib.zoo.ssl.distillation import Projection
from lib.zoo.ssl.lora import add_lora
from lib.zoo.weights import WeightsCard

TRAIN_FORM = "all, lora or last-N (N blocks from the end)"


def trainable(backbone: Backbone) -> nn.Module:
    """A fresh copy of the backbone's network in evaluation mode, able to read views of several sizes where timm can."""
    try:
        return backbone.feature_module(dynamic_img_size=True)
    except TypeError:  # timm's convolutional networks know no such option and need none
        return backbone.feature_module()
    except IncompatiblePairError as error:
        raise CvAutomlError(f"'{backbone.info.name}' is no network: there is nothing to tune") from error


def block_numbers(network: nn.Module, card: WeightsCard) -> dict[str, int]:
    """Parameter → the number of its block from the input, as timm groups them for layer-wise learning rates."""
    import timm
    from timm.models import group_parameters

    names, source = network, network
    if card.architecture:
        with torch.device("meta"):
            source = timm.create_model(card.architecture, num_classes=0, **card.model_kwargs)
        names = network.get_submodule(CUT_PREFIX.rstrip("."))
    groups = group_parameters(names, source.group_matcher(coarse=False), reverse=True)  # type: ignore[operator]
    prefix = CUT_PREFIX if card.architecture else ""
    return {prefix + name: int(number) for name, number in groups.items()}


def choose_trained(network: nn.Module, train: str, card: WeightsCard, rank: int) -> int:
    """Freezes all of the network but what `train` says: all, lora or last-N. Returns how many numbers are trained. Raises
    CvAutomlError for anything else, and for more blocks than there are."""
    if train == "lora":
        return sum(parameter.numel() for parameter in add_lora(network, rank))
    if train != "all":
        found = re.fullmatch(r"last-(\d{1,3})", train)
        blocks = block_numbers(network, card)
        present = sorted(set(blocks.values()))
        if not found or not 1 <= int(found.group(1)) <= len(present):
            raise CvAutomlError(f"--train '{train}': expected {TRAIN_FORM}, of {len(present)} blocks here")
        first = present[-int(found.group(1))]
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(blocks[name] >= first)
    else:
        network.requires_grad_(True)
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


class Answering(nn.Module):
    """uint8 views (n, 3, h, w) → logits (n, prototypes).

    The projection sees features standardised by what the backbone gave before (`standardise`): those of a network that ends in a
    ReLU share one large mean, under which a fresh projection answers every image alike.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, network: nn.Module, backbone: Backbone, prototypes: int) -> None:
        super().__init__()
        self.spec = backbone.input
        self.network = network
        self.projection = Projection(backbone.info.embedding_width, prototypes)
        self.register_buffer("mean", torch.zeros(backbone.info.embedding_width))
        self.register_buffer("spread", torch.ones(backbone.info.embedding_width))

    def standardise(self, features: Tensor) -> None:
        """Takes mean and spread of features (n, width) of the backbone before it is trained."""
        scale = Standardisation.of(features.cpu().numpy())
        for buffer, values in ((self.mean, scale.mean), (self.spread, scale.spread)):
            buffer.copy_(torch.from_numpy(values))

    def features(self, views: Tensor) -> Tensor:
        """The backbone's features (n, width)."""
        features: Tensor = self.network(normalised_tensor(views.movedim(1, -1), self.spec))
        return features

    def forward(self, views: Tensor) -> Tensor:
        """The logits."""
        return self.answers(self.features(views))

    def answers(self, features: Tensor) -> Tensor:
        """Features (n, width) → logits (n, prototypes)."""
        answer: Tensor = self.projection((features - self.mean) / self.spread)
        return answer


def student_and_teacher(
    backbone: Backbone, train: str, card: WeightsCard, settings: SslSettings, device: torch.device
) -> tuple[Answering, Answering, int]:
    """Two alike, the teacher without gradients, and how many numbers of the backbone are trained."""
    network = trainable(backbone)
    count = choose_trained(network, train, card, settings.lora_rank)
    student = Answering(network, backbone, settings.prototypes).to(device).eval()
    teacher = copy.deepcopy(student).requires_grad_(False)
    return student, teacher, count


def local_size_px(student: Answering, wanted_px: int) -> int:
    """The side of local views: the largest up to `wanted_px` that the network reads, its usual size where it reads no other."""
    network: Any = student.network
    patch = getattr(getattr(network, "patch_embed", None), "patch_size", (16,))
    stride = int(patch[0] if isinstance(patch, tuple | list) else patch)
    usual = student.spec.height_px
    size = min(usual, max(1, wanted_px // stride) * stride)
    device = next(student.parameters()).device
    try:
        with torch.no_grad():
            student.features(torch.zeros(1, 3, size, size, dtype=torch.uint8, device=device))
    except (AssertionError, RuntimeError):
        return usual
    return size
