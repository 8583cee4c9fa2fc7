"""Metrics of masks from pixel counts an image and class: mean Dice as Kaggle's Severstal competition defines it, and others."""

from __future__ import annotations

from dataclasses import dataclass

import segmentation_models_pytorch as smp
import torch

from lib.records import FinalMetrics


@dataclass(frozen=True)
class PixelCounts:
    """True positive, false positive, false negative, true negative pixels: int64 tensors (n_images, n_classes) each."""

    tp: torch.Tensor
    fp: torch.Tensor
    fn: torch.Tensor
    tn: torch.Tensor

    @classmethod
    def of(cls, predicted: torch.Tensor, target: torch.Tensor) -> PixelCounts:
        """Counts of bool masks (n, n_classes, height, width)."""
        if not len(target):
            return cls(*(torch.zeros(target.shape[:2], dtype=torch.int64) for _ in range(4)))
        counts = smp.metrics.get_stats(predicted.long(), target.long(), mode="multilabel")
        return cls(*(count.cpu() for count in counts))

    @classmethod
    def joined(cls, parts: list[PixelCounts]) -> PixelCounts:
        """The counts of several batches, one after the other."""
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in ("tp", "fp", "fn", "tn")))

    def of_class(self, index: int) -> PixelCounts:
        """The counts of one class: tensors (n_images, 1)."""
        return PixelCounts(*(c[:, index : index + 1] for c in (self.tp, self.fp, self.fn, self.tn)))

    @property
    def has_mask(self) -> torch.Tensor:
        """bool (n_images, n_classes): where the truth has at least one pixel."""
        return (self.tp + self.fn) > 0


def mask_metrics(counts: PixelCounts) -> dict[str, float]:
    """Metrics over images and classes, each in [0, 1].

    `dice`, `iou`: the mean over all pairs of image and class, 1 where both truth and answer are empty (Kaggle's definition).
    `dice_present`: the mean over the pairs whose truth is not empty, which an empty answer cannot win; left out where there
    is none. `pixel_precision`, `pixel_recall`: over all pixels together. `image_accuracy`: share of pairs in which
    "has this class or not" is right.
    """
    if not len(counts.tp):
        return {}
    arguments = (counts.tp, counts.fp, counts.fn, counts.tn)
    answered = (counts.tp + counts.fp) > 0
    values = {
        "dice": smp.metrics.f1_score(*arguments, reduction="macro-imagewise", zero_division=1.0),
        "iou": smp.metrics.iou_score(*arguments, reduction="macro-imagewise", zero_division=1.0),
        "pixel_precision": smp.metrics.precision(*arguments, reduction="micro", zero_division=0.0),
        "pixel_recall": smp.metrics.recall(*arguments, reduction="micro", zero_division=0.0),
        "image_accuracy": (answered == counts.has_mask).float().mean(),
    }
    if counts.has_mask.any():
        dice = smp.metrics.f1_score(*arguments, reduction="none", zero_division=1.0)
        values["dice_present"] = dice[counts.has_mask].mean()
    # Micro averages of nothing but empty masks are 0/0.
    return {name: float(torch.nan_to_num(torch.as_tensor(value), nan=0.0)) for name, value in values.items()}


def final_mask_metrics(counts: PixelCounts, classes: tuple[str, ...]) -> FinalMetrics:
    """Metrics of the test part, for each class too; `support` is the number of images that hold the class."""
    per_class = {
        name: mask_metrics(counts.of_class(index)) | {"support": float(counts.has_mask[:, index].sum())}
        for index, name in enumerate(classes)
    }
    return FinalMetrics(metrics=mask_metrics(counts), per_class=per_class if len(counts.tp) else {})
