"""The views of DINO: of every image two large crops and some small ones, each changed in its own way.

Crops and changes are those of Caron et al. 2021 (arXiv:2104.14294, appendix C) without shifts of hue, which in images of a
surface carry the answer.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.transforms import v2

GLOBAL_AREA = (0.4, 1.0)
LOCAL_AREA = (0.05, 0.4)
BLUR_SIGMA = (0.1, 2.0)


def view(size_px: int, area: tuple[float, float], blur: float, solarize: float = 0.0) -> v2.Transform:
    """One random crop of a share `area` of a uint8 image (3, h, w), `size_px` square, mirrored, its light changed, perhaps blurred
    or solarized with these chances."""
    kernel = max(3, size_px // 16 * 2 + 1) if size_px < 64 else 9
    return v2.Compose(
        [
            v2.RandomResizedCrop((size_px, size_px), scale=area, antialias=True),
            v2.RandomHorizontalFlip(),
            v2.RandomVerticalFlip(),
            v2.RandomApply([v2.ColorJitter(brightness=0.4, contrast=0.4, saturation=0.2)], p=0.8),
            v2.RandomGrayscale(p=0.2),
            v2.RandomApply([v2.GaussianBlur(kernel, BLUR_SIGMA)], p=blur),
            v2.RandomSolarize(128, p=solarize),
        ]
    )


def multi_crops(images: Tensor, size_px: int, n_local: int, local_px: int) -> list[Tensor]:
    """uint8 (n, 3, h, w) → two global views (n, 3, size_px, size_px), then `n_local` of `local_px`: random through torch's own
    generator, each image in its own way."""
    globals_ = [view(size_px, GLOBAL_AREA, 1.0), view(size_px, GLOBAL_AREA, 0.1, 0.2)]
    locals_ = [view(local_px, LOCAL_AREA, 0.5)] * n_local
    return [torch.stack([change(image) for image in images]) for change in (*globals_, *locals_)]
