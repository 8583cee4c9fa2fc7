"""Heads for masks, on every network: a decoder's name, what it answers, and nothing else of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lib.config import Settings
from lib.records import BackboneInfo, Recipe
from lib.records.schema import Option, Task
from lib.zoo.base import Backbone
from lib.zoo.heads.base import HEADS, Head
from lib.zoo.jobs import TrainingJob, TrainingResult

if TYPE_CHECKING:
    import torch


class MaskHead(Head):
    """A decoder on a backbone's feature maps; `decoder` is its name there."""

    version = 3
    tasks: tuple[Task, ...] = ("segmentation",)
    needs_network = True
    can_finetune = True
    needs_features = False
    decoder: str

    def parameters(self, embedding_width: int, n_classes: int) -> int:
        """Parameters for maps as wide as the embedding: near the truth, which the run's record holds."""
        import torch

        from lib.zoo.segmentation.decoders import DECODERS

        with torch.device("meta"):
            build = DECODERS[self.decoder]
            decoder = build([embedding_width] * len(build.strides), n_classes)
        return sum(parameter.numel() for parameter in decoder.parameters())

    def options(self, settings: Settings) -> dict[str, Option]:
        """What images are shown how, what masks look like, and how probabilities become masks."""
        chosen = settings.segmentation
        return {name: getattr(chosen, name) for name in ("input", "masks", "threshold", "tuned_for")}

    def incompatibility(self, backbone: BackboneInfo, task: Task, finetune: bool) -> str | None:
        """Besides the usual reasons: timm shows no feature maps of a few networks."""
        reason = super().incompatibility(backbone, task, finetune)
        if reason:
            return reason
        from lib.zoo.network import has_feature_maps

        if not has_feature_maps(backbone.name, backbone.input_size_px):
            return f"head '{self.name}' needs feature maps, timm shows none of '{backbone.name}'"
        return None

    def network(self, backbone: Backbone, recipe: Recipe, n_classes: int) -> torch.nn.Module:
        """The pair untrained."""
        from lib.zoo.segmentation.mask_network import MaskNetwork

        return MaskNetwork.of(self.decoder, backbone, recipe, n_classes)

    def train(self, job: TrainingJob) -> TrainingResult:
        """Trains the decoder (and the backbone where the recipe says finetune) on images and masks."""
        from lib.zoo.segmentation.training import train_masks

        return train_masks(job, self.decoder)


@HEADS.register("deeplabv3plus")
class DeepLabV3PlusHead(MaskHead):
    """Atrous spatial pyramid pooling on the coarse map, refined by the fine one (Chen et al. 2018, arXiv:1802.02611)."""

    name = decoder = "deeplabv3plus"


@HEADS.register("unet")
class UNetHead(MaskHead):
    """Upsampled step by step, beside the map of each stride (Ronneberger et al. 2015, arXiv:1505.04597)."""

    name = decoder = "unet"


@HEADS.register("fpn")
class FPNHead(MaskHead):
    """A pyramid of semantic maps, added up (Kirillov et al. 2019, arXiv:1901.02446)."""

    name = decoder = "fpn"


@HEADS.register("segformer")
class SegFormerHead(MaskHead):
    """Every map brought to one width and size and mixed by one convolution (Xie et al. 2021, arXiv:2105.15203)."""

    name = decoder = "segformer"


@HEADS.register("linear_mask")
class LinearMaskHead(MaskHead):
    """One 1 × 1 convolution on the concatenated maps: what a backbone's features alone are worth for masks."""

    name = decoder = "linear_mask"
    # So few weights stand quicker steps: on the validation parts of crackforest and potholes Dice .30 and .38 after 10 epochs,
    # .26 and .38 at three times the usual rate, .12 and .32 at the usual one.
    rate_factor = 10.0


@HEADS.register("cascade")
class CascadeHead(MaskHead):
    """A gate and a classifier of kinds on pooled frozen features, which switch off masks of a DeepLabV3+ that follows."""

    name = "cascade"
    version = 1
    can_finetune = False
    decoder = "deeplabv3plus"

    def network(self, backbone: Backbone, recipe: Recipe, n_classes: int) -> torch.nn.Module:
        """The three stages untrained."""
        from lib.zoo.segmentation.cascade import Switches
        from lib.zoo.segmentation.mask_network import MaskNetwork

        network = MaskNetwork.of(self.decoder, backbone, recipe, n_classes)
        network.switches = Switches(sum(network.pyramid.channels), n_classes)
        return network

    def train(self, job: TrainingJob) -> TrainingResult:
        """Trains gate, classifier and decoder."""
        from lib.zoo.segmentation.cascade import train_cascade

        return train_cascade(job)
