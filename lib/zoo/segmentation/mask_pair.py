"""A trained mask pair as one network: the pyramid of the backbone, the decoder, sigmoid."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lib.zoo.segmentation.pyramid import Pyramid


class MaskPair(nn.Module):
    """Normalised images (n, 3, height_px, width_px) → probabilities (n, n_classes, height_px, width_px)."""

    def __init__(self, pyramid: Pyramid, decoder: nn.Module, height_px: int, width_px: int) -> None:
        super().__init__()
        self.pyramid, self.decoder = pyramid, decoder
        self.height_px, self.width_px = height_px, width_px

    def forward(self, images: Tensor) -> Tensor:
        """The probabilities."""
        logits = self.decoder(self.pyramid(images))[..., : self.height_px, : self.width_px]
        return torch.sigmoid(logits)
