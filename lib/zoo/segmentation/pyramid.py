"""From any network to masks: feature maps at strides 4 and 16, kept while the network is frozen, and the decoder on them."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import numpy as np
import segmentation_models_pytorch as smp
import torch
from segmentation_models_pytorch.decoders.deeplabv3.decoder import DeepLabV3PlusDecoder
from torch import nn
from torch.nn import functional

from lib.errors import IncompatiblePairError
from lib.zoo.base import Backbone
from lib.zoo.devices import dtype_of, physical_memory_bytes
from lib.zoo.preprocessing import Indices, Kept, SizedImages, normalised_tensor

FINE_STRIDE = 4
COARSE_STRIDE = 16
DECODER_WIDTH = 256
# Rates of the paper for output stride 16 (Chen et al. 2018, arXiv:1802.02611, section 4).
ATROUS_RATES = (6, 12, 18)
ASPP_DROPOUT = 0.5
KEPT_BYTES = 4_000_000_000
KEPT_SHARE = 0.25

Maps = tuple[torch.Tensor, torch.Tensor]
Size = tuple[int, int]


class Pyramid(nn.Module):
    """Normalised images (n, 3, height, width) → fine (n, c, h/4, w/4) and coarse (n, c, h/16, w/16) feature maps, h and w rounded up to multiples of 16.

    Convolutional networks give both from their stages, the last one dilated to stride 16 where timm can do so (Chen et al. 2018,
    arXiv:1802.02611). A transformer has one grid of tokens: the fine map is taken after a third of its blocks, the coarse one
    after the last, each resized. Raises IncompatiblePairError for a network that shows no feature maps.
    """

    def __init__(self, backbone: Backbone, height_px: int, width_px: int) -> None:
        super().__init__()
        self.network = _dilated(backbone)
        if not hasattr(self.network, "forward_intermediates"):
            raise IncompatiblePairError(f"timm shows no feature maps of '{backbone.info.name}'")
        info: Any = self.network.feature_info
        stages = list(info if isinstance(info, list) else info.info)
        reductions = [int(stage["reduction"]) for stage in stages]
        self.has_tokens = len(set(reductions)) == 1 and len(reductions) > 1
        self.indices = [_fine_index(reductions, self.has_tokens), len(reductions) - 1]
        self.channels = tuple(int(stages[index]["num_chs"]) for index in self.indices)
        self.input_size = _accepted_size(self.network, backbone, reductions[0], height_px, width_px)
        self.fine_size, self.coarse_size = grid_sizes(height_px, width_px)

    def forward(self, images: torch.Tensor) -> Maps:
        """The fine and the coarse feature map."""
        options: dict[str, Any] = {"norm": True} if self.has_tokens else {}
        fine, coarse = self.network.forward_intermediates(  # type: ignore[operator]
            _to_size(images, self.input_size),
            indices=self.indices,
            intermediates_only=True,
            output_fmt="NCHW",
            **options,
        )
        return _to_size(fine, self.fine_size), _to_size(coarse, self.coarse_size)


def grid_sizes(height_px: int, width_px: int) -> tuple[Size, Size]:
    """Sizes of the fine and the coarse map; the fine one is exactly four times the coarse one, as the decoder needs."""
    height, width = (-(-side // COARSE_STRIDE) for side in (height_px, width_px))
    ratio = COARSE_STRIDE // FINE_STRIDE
    return (ratio * height, ratio * width), (height, width)


def _dilated(backbone: Backbone) -> nn.Module:
    try:
        return backbone.feature_module(output_stride=COARSE_STRIDE)
    except (TypeError, NotImplementedError, AssertionError, ValueError):
        # Without dilation the last stage has stride 32, or tokens: its map is resized instead.
        return backbone.feature_module()


def _fine_index(reductions: list[int], has_tokens: bool) -> int:
    if has_tokens:
        return max(len(reductions) // 3 - 1, 0)
    return min(range(len(reductions)), key=lambda i: (abs(reductions[i] - FINE_STRIDE), -i))


def _accepted_size(
    network: nn.Module, backbone: Backbone, patch_px: int, height_px: int, width_px: int
) -> Size:
    """The image size the network is run at: as asked, in whole patches, or its own where it knows no other."""
    set_size = getattr(network, "set_input_size", None)
    if set_size is None:
        takes_any = not network.pretrained_cfg.get("fixed_input_size", False)  # type: ignore[operator, union-attr]
        return (height_px, width_px) if takes_any else (backbone.input.height_px, backbone.input.width_px)
    height, width = (max(round(side / patch_px), 1) * patch_px for side in (height_px, width_px))
    name = "img_size" if "img_size" in inspect.signature(set_size).parameters else "size"
    set_size(**{name: (height, width)})
    return height, width


def _to_size(maps: torch.Tensor, size: Size) -> torch.Tensor:
    if maps.shape[-2:] == size:
        return maps
    return functional.interpolate(maps, size=size, mode="bilinear", align_corners=False)


class FrozenPyramids:
    """Feature maps of images by their position, from a frozen copy of the pyramid in the given precision.

    Kept in main memory up to 4 GB or a quarter of it, whichever is less; beyond that they are computed each time.
    """

    def __init__(self, pyramid: Pyramid, sized: SizedImages, device: torch.device, precision: str) -> None:
        self.sized, self.device, self.dtype = sized, device, dtype_of(precision)
        self.pyramid = copy.deepcopy(pyramid).eval().requires_grad_(False).to(self.dtype)
        self.forget()

    def forget(self) -> None:
        """Gives the memory back; the network stays."""
        self.maps: Kept[Maps] = Kept(
            self._compute, min(KEPT_BYTES, int(KEPT_SHARE * physical_memory_bytes()))
        )

    def of(self, indices: Indices) -> Maps:
        """Fine and coarse maps (n, c, h, w) on the device, channels last, in the precision they were computed in."""
        fine, coarse = (
            torch.stack(level).to(self.device).contiguous(memory_format=torch.channels_last)
            for level in zip(*self.maps.of(indices), strict=True)
        )
        return fine, coarse

    @torch.no_grad()
    def _compute(self, missing: list[int]) -> list[Maps]:
        images = torch.from_numpy(self.sized.images(np.array(missing))).to(self.device)
        fine, coarse = self.pyramid(normalised_tensor(images, self.sized.spec).to(self.dtype))
        # Copies of their own: a slice would hold the whole batch in memory.
        return [(f.clone(), c.clone()) for f, c in zip(fine.cpu(), coarse.cpu(), strict=True)]


class DeepLabV3Plus(nn.Module):
    """smp's DeepLabV3+ decoder: fine (n, c, h, w), coarse (n, c, h/4, w/4) → logits (n, n_classes, 4 h, 4 w)."""

    def __init__(self, channels: tuple[int, ...], n_classes: int) -> None:
        super().__init__()
        # smp reads levels 2 and -1 of a list of encoder maps; the levels below are not looked at.
        self.decoder = DeepLabV3PlusDecoder(
            encoder_channels=(0, 0, *channels),
            encoder_depth=5,
            out_channels=DECODER_WIDTH,
            atrous_rates=ATROUS_RATES,
            output_stride=16,
            aspp_separable=True,
            aspp_dropout=ASPP_DROPOUT,
        )
        self.head = smp.base.SegmentationHead(DECODER_WIDTH, n_classes, kernel_size=1, upsampling=4)

    def forward(self, maps: Maps) -> torch.Tensor:
        """Logits at the size of the padded image."""
        fine, coarse = maps
        return self.head(self.decoder([fine, fine, fine, coarse]))
