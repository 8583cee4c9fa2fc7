"""DeepLabV3+ for masks, on every network: convolutional ones by their stages, transformers by their token grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lib.config import Settings
from lib.records import BackboneInfo, Recipe
from lib.records.schema import Task
from lib.zoo.base import Backbone
from lib.zoo.heads.base import HEADS, Head
from lib.zoo.jobs import TrainingJob, TrainingResult

if TYPE_CHECKING:
    import torch


@HEADS.register("deeplabv3plus")
class DeepLabV3PlusHead(Head):
    """Atrous spatial pyramid pooling on the coarse map, refined by the fine one (Chen et al. 2018, arXiv:1802.02611)."""

    name = "deeplabv3plus"
    tasks: tuple[Task, ...] = ("segmentation",)
    needs_network = True
    can_finetune = True
    needs_features = False

    def parameters(self, embedding_width: int, n_classes: int) -> int:
        """Parameters for maps as wide as the embedding: near the truth, which the run's record holds."""
        import torch

        from lib.zoo.segmentation.pyramid import DeepLabV3Plus

        with torch.device("meta"):
            decoder = DeepLabV3Plus((embedding_width, embedding_width), n_classes)
        return sum(parameter.numel() for parameter in decoder.parameters())

    def options(self, settings: Settings) -> dict[str, float | int | str]:
        """The probability from which a pixel counts as defect."""
        return {"threshold": settings.segmentation.threshold}

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
        """Pyramid and decoder as one network."""
        from lib.zoo.segmentation.mask_pair import MaskPair
        from lib.zoo.segmentation.pyramid import DeepLabV3Plus, Pyramid

        size = recipe.image_height_px, recipe.image_width_px
        pyramid = Pyramid(backbone, *size)
        return MaskPair(pyramid, DeepLabV3Plus(pyramid.channels, n_classes), *size)

    def train(self, job: TrainingJob) -> TrainingResult:
        """Trains the decoder (and the backbone where the recipe says finetune) on images and masks."""
        from lib.zoo.segmentation import train_decoder
        from lib.zoo.segmentation.pyramid import DeepLabV3Plus

        return train_decoder(job, DeepLabV3Plus)
