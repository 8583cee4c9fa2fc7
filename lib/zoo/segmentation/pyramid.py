"""From any network to feature maps at the strides that a decoder asks for, convolutional networks and transformers alike."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from lib.errors import IncompatiblePairError
from lib.zoo.base import Backbone

DILATED_STRIDE = 16

Maps = tuple[torch.Tensor, ...]
Size = tuple[int, int]


class Pyramid(nn.Module):
    """Normalised images (n, 3, height, width) → feature maps (n, c, h/s, w/s) at `strides` s, h and w rounded up to multiples of the largest one.

    Convolutional networks give maps from their stages; where 16 is the last stride, the last stage is dilated to it where timm
    can do so (Chen et al. 2018, arXiv:1802.02611). A transformer has one grid of tokens: it is taken after equal shares of its
    blocks and resized. A network that ends at stride 16 has its last map averaged to 32. Raises IncompatiblePairError for a
    network that shows no feature maps.
    """

    def __init__(
        self, backbone: Backbone, height_px: int, width_px: int, strides: Sequence[int] = (4, 16)
    ) -> None:
        super().__init__()
        self.network = _network(backbone, dilated=strides[-1] == DILATED_STRIDE)
        if not hasattr(self.network, "forward_intermediates"):
            raise IncompatiblePairError(f"timm shows no feature maps of '{backbone.info.name}'")
        info: Any = self.network.feature_info
        stages = list(info if isinstance(info, list) else info.info)
        reductions = [int(stage["reduction"]) for stage in stages]
        self.has_tokens = len(set(reductions)) == 1 and len(reductions) > 1
        self.indices = _indices(reductions, strides, self.has_tokens)
        self.channels = tuple(int(stages[index]["num_chs"]) for index in self.indices)
        self.input_size = _accepted_size(self.network, backbone, reductions[0], height_px, width_px)
        self.sizes = grid_sizes(height_px, width_px, strides)

    def forward(self, images: torch.Tensor) -> Maps:
        """The maps, the finest first."""
        return self.placed(self.own_maps(images))

    def own_maps(self, images: torch.Tensor) -> Maps:
        """The maps in the network's own sizes, which are the smallest way to keep them."""
        options: dict[str, Any] = {"norm": True} if self.has_tokens else {}
        wanted = sorted(set(self.indices))
        maps = self.network.forward_intermediates(  # type: ignore[operator]
            to_size(images, self.input_size),
            indices=wanted,
            intermediates_only=True,
            output_fmt="NCHW",
            **options,
        )
        return tuple(maps[wanted.index(index)] for index in self.indices)

    def placed(self, maps: Maps) -> Maps:
        """The network's own maps on the grids of the strides."""
        return tuple(to_size(one, size) for one, size in zip(maps, self.sizes, strict=True))


def grid_sizes(height_px: int, width_px: int, strides: Sequence[int]) -> tuple[Size, ...]:
    """Sizes of the maps; each is a whole number of times the last one, as decoders need."""
    height, width = (-(-side // strides[-1]) for side in (height_px, width_px))
    return tuple((height * strides[-1] // stride, width * strides[-1] // stride) for stride in strides)


def _network(backbone: Backbone, dilated: bool) -> nn.Module:
    if not dilated:
        return backbone.feature_module()
    try:
        return backbone.feature_module(output_stride=DILATED_STRIDE)
    except (TypeError, NotImplementedError, AssertionError, ValueError):
        # Without dilation the last stage has stride 32, or tokens: its map is resized instead.
        return backbone.feature_module()


def _indices(reductions: list[int], strides: Sequence[int], has_tokens: bool) -> list[int]:
    """The stage of each stride: the deepest of those nearest to it, and for the last stride the last one."""
    n = len(reductions)
    if has_tokens:
        return [max(n * (place + 1) // len(strides) - 1, 0) for place in range(len(strides))]
    nearest = [min(range(n), key=lambda i: (abs(reductions[i] - stride), -i)) for stride in strides]
    return [*nearest[:-1], n - 1]


def _accepted_size(
    network: nn.Module, backbone: Backbone, patch_px: int, height_px: int, width_px: int
) -> Size:
    """The image size the network is run at: as asked, in whole patches, or its own where it knows no other."""
    set_size = getattr(network, "set_input_size", None)
    if set_size is None:
        config: Any = getattr(network, "pretrained_cfg", {})
        takes_any = not config.get("fixed_input_size", False)
        return (height_px, width_px) if takes_any else (backbone.input.height_px, backbone.input.width_px)
    height, width = (max(round(side / patch_px), 1) * patch_px for side in (height_px, width_px))
    name = "img_size" if "img_size" in inspect.signature(set_size).parameters else "size"
    set_size(**{name: (height, width)})
    return height, width


def to_size(maps: torch.Tensor, size: Size) -> torch.Tensor:
    """Maps (n, c, h, w) at another size, bilinear; half the size is the average of four."""
    if maps.shape[-2:] == size:
        return maps
    return functional.interpolate(maps, size=size, mode="bilinear", align_corners=False)
