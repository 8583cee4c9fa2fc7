"""A pyramid from any network: feature maps at strides 4 and 16, token grids of vision transformers included."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from lib.errors import IncompatiblePairError
from lib.zoo.backbones import Backbone

FINE_STRIDE = 4
COARSE_STRIDE = 16


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
        reductions = [int(stage["reduction"]) for stage in _stages(self.network)]
        self.has_tokens = len(set(reductions)) == 1 and len(reductions) > 1
        self.indices = _token_indices(reductions) if self.has_tokens else _stage_indices(reductions)
        self.channels = tuple(int(_stages(self.network)[index]["num_chs"]) for index in self.indices)
        self.input_size = _accepted_size(self.network, backbone, reductions[0], height_px, width_px)
        self.fine_size, self.coarse_size = grid_sizes(height_px, width_px)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The fine and the coarse feature map."""
        options: dict[str, Any] = {"norm": True} if self.has_tokens else {}
        fine, coarse = self.network.forward_intermediates(  # type: ignore[operator]
            _to_size(images, self.input_size),
            indices=list(self.indices),
            intermediates_only=True,
            output_fmt="NCHW",
            **options,
        )
        return _to_size(fine, self.fine_size), _to_size(coarse, self.coarse_size)


def grid_sizes(height_px: int, width_px: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Sizes of the fine and the coarse map; the fine one is exactly four times the coarse one, as the decoder needs."""
    coarse = (-(-height_px // COARSE_STRIDE), -(-width_px // COARSE_STRIDE))
    ratio = COARSE_STRIDE // FINE_STRIDE
    return (ratio * coarse[0], ratio * coarse[1]), coarse


def _dilated(backbone: Backbone) -> nn.Module:
    try:
        return backbone.feature_module(output_stride=COARSE_STRIDE)
    except (TypeError, NotImplementedError, AssertionError, ValueError):
        # Without dilation the last stage has stride 32, or tokens: its map is resized instead.
        return backbone.feature_module()


def _stages(network: nn.Module) -> list[dict[str, Any]]:
    info: Any = network.feature_info
    return list(info if isinstance(info, list) else info.info)


def _token_indices(reductions: list[int]) -> tuple[int, int]:
    return max(len(reductions) // 3 - 1, 0), len(reductions) - 1


def _stage_indices(reductions: list[int]) -> tuple[int, int]:
    distance = [abs(reduction - FINE_STRIDE) for reduction in reductions]
    fine = max(i for i, d in enumerate(distance) if d == min(distance))
    return fine, len(reductions) - 1


def _accepted_size(
    network: nn.Module, backbone: Backbone, patch_px: int, height_px: int, width_px: int
) -> tuple[int, int]:
    """The image size the network is run at: as asked, in whole patches, or its own where it knows no other."""
    set_size = getattr(network, "set_input_size", None)
    if set_size is None:
        takes_any = not network.pretrained_cfg.get("fixed_input_size", False)  # type: ignore[operator, union-attr]
        return (height_px, width_px) if takes_any else (backbone.input.height_px, backbone.input.width_px)
    size = tuple(max(round(side / patch_px), 1) * patch_px for side in (height_px, width_px))
    set_size(**{"img_size" if "img_size" in inspect.signature(set_size).parameters else "size": size})
    return size[0], size[1]


def _to_size(maps: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    if maps.shape[-2:] == size:
        return maps
    return functional.interpolate(maps, size=size, mode="bilinear", align_corners=False)
