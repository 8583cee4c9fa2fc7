"""Metrics of masks from pixel counts an image and class: mean Dice as Kaggle's Severstal competition defines it, and others.

False alarms: a mask too small to be trusted is emptied; how small, is chosen for each class on the validation part. Kaggle's
mean Dice gives 0 to a clean image with one wrong pixel and 1 to an empty answer, so that is the usual remedy there. The choice
needs pixel counts alone: emptying a mask moves its hits to the misses.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import segmentation_models_pytorch as smp
import torch

from lib.records import FinalMetrics
from lib.zoo.metrics import Floats, influence_of_ratios, standard_error

# Shares of the image; the last one empties every mask: right for a class whose masks only do harm.
CANDIDATES = torch.tensor([0.0, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 2.0], dtype=torch.float64)


@dataclass(frozen=True)
class PixelCounts:
    """Pixels of every image, int64 tensors (n_images, n_classes): true positive, false positive, false negative, true negative.

    Of the background, the pixels no class claims, `ground` (n_images, 3) counts true positive, false positive and false
    negative. `alone` (n_images, n_classes, 2): pixels that were answered with this class only, where the truth is background
    and where it is not; they become background when the class's mask is emptied.
    """

    tp: torch.Tensor
    fp: torch.Tensor
    fn: torch.Tensor
    tn: torch.Tensor
    ground: torch.Tensor
    alone: torch.Tensor

    @classmethod
    def of(cls, predicted: torch.Tensor, target: torch.Tensor) -> PixelCounts:
        """Counts of bool masks (n, n_classes, height, width)."""
        n, n_classes = target.shape[:2]
        if not n:
            shapes = [(n, n_classes)] * 4 + [(n, 3), (n, n_classes, 2)]
            return cls(*(torch.zeros(shape, dtype=torch.int64) for shape in shapes))
        counts = smp.metrics.get_stats(predicted.long(), target.long(), mode="multilabel")
        clean, empty = ~target.any(dim=1), ~predicted.any(dim=1)
        ground = torch.stack([clean & empty, ~clean & empty, clean & ~empty], dim=1).sum(dim=(2, 3))
        only = predicted & (predicted.sum(dim=1, keepdim=True) == 1)
        alone = torch.stack([only & clean[:, None], only & ~clean[:, None]], dim=2).sum(dim=(3, 4))
        return cls(*(count.cpu() for count in (*counts, ground, alone)))

    @classmethod
    def joined(cls, parts: list[PixelCounts]) -> PixelCounts:
        """The counts of several batches, one after the other."""
        return cls(*(torch.cat([getattr(part, f.name) for part in parts]) for f in fields(cls)))

    def __len__(self) -> int:
        return len(self.tp)

    def of_class(self, index: int) -> PixelCounts:
        """The counts of one class: tensors (n_images, 1); the background stays what it is."""
        tp, fp, fn, tn, alone = (c[:, [index]] for c in (self.tp, self.fp, self.fn, self.tn, self.alone))
        return PixelCounts(tp, fp, fn, tn, self.ground, alone)

    @property
    def has_mask(self) -> torch.Tensor:
        """bool (n_images, n_classes): where the truth has at least one pixel."""
        return (self.tp + self.fn) > 0

    @property
    def dice(self) -> torch.Tensor:
        """Dice (n_images, n_classes), 1 where both truth and answer are empty (Kaggle's definition)."""
        return torch.nan_to_num(2 * self.tp / (2 * self.tp + self.fp + self.fn), nan=1.0).double()

    def emptied(self, smallest: torch.Tensor | float) -> PixelCounts:
        """The counts after masks whose area is below `smallest` (n_classes,), a share of the image, are emptied."""
        answered = self.tp + self.fp
        keep = (answered >= smallest * (answered + self.fn + self.tn)).long()
        # A pixel that two emptied classes shared stays out of the background: too few to be counted apart.
        clean, dirty = (self.alone * (1 - keep)[..., None]).sum(dim=1).T
        return PixelCounts(
            tp=self.tp * keep,
            fp=self.fp * keep,
            fn=self.fn + self.tp * (1 - keep),
            tn=self.tn + self.fp * (1 - keep),
            ground=self.ground + torch.stack([clean, dirty, -clean], dim=1),
            alone=self.alone * keep[..., None],
        )


def smallest_areas(counts: PixelCounts) -> torch.Tensor:
    """For each class the share of the image below which its mask is emptied: float64 tensor (n_classes,).

    The candidate of the highest mean Dice on `counts`, the smallest of equals; 0 where there are no images.
    """
    if not len(counts):
        return torch.zeros(counts.tp.shape[1], dtype=torch.float64)
    dice = torch.stack([counts.emptied(share).dice.mean(dim=0) for share in CANDIDATES])
    return CANDIDATES[dice.argmax(dim=0)]


def mask_metrics(counts: PixelCounts) -> dict[str, float]:
    """Metrics over images and classes, each in [0, 1].

    `dice`, `iou`: the mean over all pairs of image and class, 1 where both truth and answer are empty (Kaggle's definition).
    `defect_dice`: the mean over the pairs whose truth is not empty, which an empty answer cannot win; left out where there
    is none. `miou`: the mean over classes and background of the IoU of all images' pixels together, over those that are there
    or answered. `pixel_precision`, `pixel_recall`: over all pixels together. `image_accuracy`: share of pairs in which
    "has this class or not" is right.
    """
    if not len(counts):
        return {}
    arguments = (counts.tp, counts.fp, counts.fn, counts.tn)
    answered = (counts.tp + counts.fp) > 0
    hits, union = _hits_and_union(counts)
    values = {
        "dice": counts.dice.mean(),
        "iou": smp.metrics.iou_score(*arguments, reduction="macro-imagewise", zero_division=1.0),
        "pixel_precision": smp.metrics.precision(*arguments, reduction="micro", zero_division=0.0),
        "pixel_recall": smp.metrics.recall(*arguments, reduction="micro", zero_division=0.0),
        "image_accuracy": (answered == counts.has_mask).float().mean(),
        "miou": np.mean(hits.mean(axis=0) / union.mean(axis=0)),
    }
    if counts.has_mask.any():
        values["defect_dice"] = counts.dice[counts.has_mask].mean()
    # Micro averages of nothing but empty masks are 0/0.
    return {name: float(torch.nan_to_num(torch.as_tensor(value), nan=0.0)) for name, value in values.items()}


def mask_standard_errors(counts: PixelCounts) -> dict[str, float]:
    """Of dice, miou and defect_dice, where they are defined: how far each would vary with other images."""
    if not len(counts):
        return {}
    dice, present = counts.dice.numpy(), counts.has_mask.numpy()
    influences = {
        "dice": dice.mean(axis=1) - dice.mean(),
        "miou": influence_of_ratios(*_hits_and_union(counts)).mean(axis=1),
    }
    if present.any():
        asked = present.sum(axis=1, keepdims=True).astype(float)
        influences["defect_dice"] = influence_of_ratios((dice * present).sum(axis=1, keepdims=True), asked)[
            :, 0
        ]
    return {name: standard_error(influence) for name, influence in influences.items()}


def _hits_and_union(counts: PixelCounts) -> tuple[Floats, Floats]:
    """True positives and union (n_images, n_seen) of each class and of the background, where they are seen at all."""
    hits = torch.cat([counts.tp, counts.ground[:, :1]], dim=1).double().numpy()
    unions = [counts.tp + counts.fp + counts.fn, counts.ground.sum(dim=1, keepdim=True)]
    union = torch.cat(unions, dim=1).double().numpy()
    seen = union.any(axis=0)
    return hits[:, seen], union[:, seen]


def final_mask_metrics(counts: PixelCounts, classes: tuple[str, ...]) -> FinalMetrics:
    """Metrics of the test part, for each class too; `support` is the number of images that hold the class."""
    per_class = {}
    for index, name in enumerate(classes):
        own = mask_metrics(counts.of_class(index)) | {"support": float(counts.has_mask[:, index].sum())}
        # The background belongs to all classes together.
        per_class[name] = {metric: value for metric, value in own.items() if metric != "miou"}
    return FinalMetrics(
        metrics=mask_metrics(counts),
        standard_error=mask_standard_errors(counts),
        per_class=per_class if len(counts) else {},
    )
