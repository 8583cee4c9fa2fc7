"""False alarms: a mask too small to be trusted is emptied; how small, is chosen for each class on the validation part.

Kaggle's mean Dice gives 0 to a clean image with one wrong pixel and 1 to an empty answer, so emptying small masks is the
usual remedy there. The choice needs pixel counts alone: emptying a mask moves its hits to the misses.
"""

from __future__ import annotations

import torch

from lib.zoo.segmentation.metrics import PixelCounts

# Shares of the image; the last one empties every mask: right for a class whose masks only do harm.
CANDIDATES = (0.0, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 2.0)


def smallest_areas(counts: PixelCounts) -> torch.Tensor:
    """For each class the share of the image below which its mask is emptied: float64 tensor (n_classes,).

    The candidate of the highest mean Dice on `counts`, the smallest of equals; 0 where there are no images.
    """
    n_classes = counts.tp.shape[1]
    if not len(counts):
        return torch.zeros(n_classes, dtype=torch.float64)
    dice = torch.stack(
        [emptied(counts, _everywhere(share, n_classes)).dice.mean(dim=0) for share in CANDIDATES]
    )
    return torch.tensor(CANDIDATES, dtype=torch.float64)[dice.argmax(dim=0)]


def emptied(counts: PixelCounts, smallest: torch.Tensor) -> PixelCounts:
    """The counts after masks whose area is below `smallest` (n_classes,), a share of the image, are emptied."""
    answered = counts.tp + counts.fp
    pixels = answered + counts.fn + counts.tn
    keep = (answered >= smallest * pixels).long()
    # A pixel that two emptied classes shared stays out of the background: too few to be counted apart.
    clean, dirty = (counts.alone * (1 - keep)[..., None]).sum(dim=1).T
    return PixelCounts(
        tp=counts.tp * keep,
        fp=counts.fp * keep,
        fn=counts.fn + counts.tp * (1 - keep),
        tn=counts.tn + counts.fp * (1 - keep),
        ground=counts.ground + torch.stack([clean, dirty, -clean], dim=1),
        alone=counts.alone * keep[..., None],
    )


def _everywhere(share: float, n_classes: int) -> torch.Tensor:
    return torch.full((n_classes,), share, dtype=torch.float64)
