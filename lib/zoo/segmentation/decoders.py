"""Decoders: feature maps → one logit a class and pixel. The published ones are segmentation-models-pytorch's."""

from __future__ import annotations

from collections.abc import Sequence

import segmentation_models_pytorch as smp
import torch
from segmentation_models_pytorch.decoders.deeplabv3.decoder import DeepLabV3PlusDecoder
from segmentation_models_pytorch.decoders.fpn.decoder import FPNDecoder
from segmentation_models_pytorch.decoders.segformer.decoder import SegformerDecoder
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from torch import nn

from lib.zoo.segmentation.pyramid import Maps, to_size

WIDTH = 256
# Rates of the paper for output stride 16 (Chen et al. 2018, arXiv:1802.02611, section 4).
ATROUS_RATES = (6, 12, 18)
ASPP_DROPOUT = 0.5
UNET_CHANNELS = (256, 128, 64, 32, 16)
PYRAMID = (4, 8, 16, 32)


class Decoder(nn.Module):
    """Maps at `strides`, given as `channels` wide, → logits (n, n_outputs, h, w) at the size of the padded image."""

    strides: tuple[int, ...] = PYRAMID

    def __init__(self, channels: Sequence[int], n_outputs: int) -> None:
        super().__init__()
        self.decoder, width, upsampling = self.build(channels)
        self.head = smp.base.SegmentationHead(width, n_outputs, kernel_size=1, upsampling=upsampling)

    def build(self, channels: Sequence[int]) -> tuple[nn.Module, int, int]:
        """The decoder, the channels it ends with, and how much finer the image is than its map."""
        raise NotImplementedError

    def forward(self, maps: Maps) -> torch.Tensor:
        """Logits; smp's decoders want the image and a map at stride 2 as well: their shapes are all they read of them."""
        n, _, height, width = maps[0].shape
        image, half = (maps[0].new_empty(n, 0, f * height, f * width) for f in (4, 2))
        return self.head(self.decoder([image, half, *maps]))


class DeepLabV3Plus(Decoder):
    """Atrous spatial pyramid pooling on the coarse map, refined by the fine one (Chen et al. 2018, arXiv:1802.02611)."""

    strides = (4, 16)

    def build(self, channels: Sequence[int]) -> tuple[nn.Module, int, int]:
        decoder = DeepLabV3PlusDecoder(
            encoder_channels=(0, 0, *channels),
            encoder_depth=5,
            out_channels=WIDTH,
            atrous_rates=ATROUS_RATES,
            output_stride=16,
            aspp_separable=True,
            aspp_dropout=ASPP_DROPOUT,
        )
        return decoder, WIDTH, 4


class UNet(Decoder):
    """Upsampled step by step, beside the map of each stride (Ronneberger et al. 2015, arXiv:1505.04597)."""

    def build(self, channels: Sequence[int]) -> tuple[nn.Module, int, int]:
        return UnetDecoder((0, 0, *channels), UNET_CHANNELS, n_blocks=5), UNET_CHANNELS[-1], 1


class FPN(Decoder):
    """A pyramid of semantic maps, added up (Kirillov et al. 2019, arXiv:1901.02446)."""

    def build(self, channels: Sequence[int]) -> tuple[nn.Module, int, int]:
        return FPNDecoder([0, 0, *channels]), 128, 4


class SegFormer(Decoder):
    """Every map brought to one width and size, and mixed by one 1 × 1 convolution (Xie et al. 2021, arXiv:2105.15203)."""

    def build(self, channels: Sequence[int]) -> tuple[nn.Module, int, int]:
        return SegformerDecoder([0, 0, *channels], segmentation_channels=WIDTH), WIDTH, 4


class LinearMask(nn.Module):
    """One 1 × 1 convolution on the standardised, concatenated maps: the linear probe of segmentation (as in DINOv2, arXiv:2304.07193)."""

    strides = (4, 16)

    def __init__(self, channels: Sequence[int], n_outputs: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.BatchNorm2d(width, affine=False) for width in channels)
        self.probes = nn.ModuleList(
            nn.Conv2d(width, n_outputs, 1, bias=not place) for place, width in enumerate(channels)
        )

    def forward(self, maps: Maps) -> torch.Tensor:
        """Each map is probed at its own size and added up at the finest: the same as upsampling and concatenating first."""
        height, width = maps[0].shape[-2:]
        probed = [probe(norm(one)) for norm, probe, one in zip(self.norms, self.probes, maps, strict=True)]
        total = torch.stack([to_size(one, (height, width)) for one in probed]).sum(dim=0)
        return to_size(total, (self.strides[0] * height, self.strides[0] * width))


DECODERS: dict[str, type[Decoder] | type[LinearMask]] = {
    "deeplabv3plus": DeepLabV3Plus,
    "unet": UNet,
    "fpn": FPN,
    "segformer": SegFormer,
    "linear_mask": LinearMask,
}
