"""Decoders on a pyramid of a fine (stride 4) and a coarse (stride 16) feature map, giving logits at the image's size."""

from __future__ import annotations

import segmentation_models_pytorch as smp
import torch
from segmentation_models_pytorch.decoders.deeplabv3.decoder import DeepLabV3PlusDecoder
from torch import nn

WIDTH = 256
# Rates of the paper for output stride 16 (Chen et al. 2018, arXiv:1802.02611, section 4).
ATROUS_RATES = (6, 12, 18)
ASPP_DROPOUT = 0.5


class DeepLabV3Plus(nn.Module):
    """smp's DeepLabV3+ decoder: fine (n, c, h, w), coarse (n, c, h/4, w/4) → logits (n, n_classes, 4 h, 4 w)."""

    def __init__(self, channels: tuple[int, ...], n_classes: int) -> None:
        super().__init__()
        fine, coarse = channels
        # smp reads levels 2 and -1 of a list of encoder maps; the levels below are not looked at.
        self.decoder = DeepLabV3PlusDecoder(
            encoder_channels=(0, 0, fine, coarse),
            encoder_depth=5,
            out_channels=WIDTH,
            atrous_rates=ATROUS_RATES,
            output_stride=16,
            aspp_separable=True,
            aspp_dropout=ASPP_DROPOUT,
        )
        self.head = smp.base.SegmentationHead(WIDTH, n_classes, kernel_size=1, upsampling=4)

    def forward(self, maps: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """Logits at the size of the padded image."""
        fine, coarse = maps
        return self.head(self.decoder([fine, fine, fine, coarse]))
