"""From an image of any size to what a network expects: the whole image resized, then normalised."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image as PillowImage

from lib.zoo.base import Image, InputSpec

RESAMPLING = {
    "nearest": PillowImage.Resampling.NEAREST,
    "box": PillowImage.Resampling.BOX,
    "bilinear": PillowImage.Resampling.BILINEAR,
    "hamming": PillowImage.Resampling.HAMMING,
    "bicubic": PillowImage.Resampling.BICUBIC,
    "lanczos": PillowImage.Resampling.LANCZOS,
}


def resized(image: Image, spec: InputSpec) -> Image:
    """uint8 image (height, width, 3) → (height_px, width_px, 3) by the network's own interpolation, antialiased."""
    if image.shape[:2] == (spec.height_px, spec.width_px):
        return image
    method = RESAMPLING.get(spec.interpolation, PillowImage.Resampling.BICUBIC)
    return np.asarray(PillowImage.fromarray(image).resize((spec.width_px, spec.height_px), method))


def normalised_tensor(images: torch.Tensor, spec: InputSpec) -> torch.Tensor:
    """uint8 (h, w, 3) or (n, h, w, 3) on any device → float32 (3, h, w) or (n, 3, h, w): values / 255, minus mean, over std.

    The result is a channels-last view, which convolutions prefer.
    """
    scale = 255.0 * torch.tensor(spec.std, device=images.device)
    shift = torch.tensor(spec.mean, device=images.device) / torch.tensor(spec.std, device=images.device)
    return (images.to(torch.float32) / scale - shift).movedim(-1, -3)
