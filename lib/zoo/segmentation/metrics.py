"""Metrics of masks from pixel counts an image and class: mean Dice as Kaggle's Severstal competition defines it, and others."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch

from lib.records import FinalMetrics
from lib.zoo.metrics import Floats, influence_of_ratios, standard_error

BOOTSTRAPS = 1000
COVERED = (0.025, 0.975)
SHARED = ("miou", "pixel_accuracy")  # the background's too: they belong to all classes together


@dataclass(frozen=True)
class PixelCounts:
    """Pixels of every image, int64 tensors (n_images, n_classes): true positive, false positive, false negative, true negative.

    `ground` (n_images, 4): of the background, the pixels no class claims, true positive, false positive and false negative; and
    the pixels in which every class is right.
    """

    tp: torch.Tensor
    fp: torch.Tensor
    fn: torch.Tensor
    tn: torch.Tensor
    ground: torch.Tensor

    @classmethod
    def of(cls, predicted: torch.Tensor, target: torch.Tensor) -> PixelCounts:
        """Counts of bool masks (n, n_classes, height, width)."""
        answered, asked, both = (pixels(m) for m in (predicted, target, predicted & target))
        clean, empty = ~target.any(dim=1), ~predicted.any(dim=1)
        right = (predicted == target).all(dim=1)
        ground = pixels(torch.stack([clean & empty, ~clean & empty, clean & ~empty, right], dim=1))
        n_pixels = target.shape[2] * target.shape[3]
        counts = (both, answered - both, asked - both, n_pixels - answered - asked + both)
        tp, fp, fn, tn = (count.cpu() for count in counts)
        return cls(tp, fp, fn, tn, ground.cpu())

    @classmethod
    def joined(cls, parts: list[PixelCounts], n_classes: int) -> PixelCounts:
        """The counts of several batches, one after the other; of none where there are no batches."""
        if not parts:
            nothing = torch.zeros((0, n_classes, 1, 1), dtype=torch.bool)
            return cls.of(nothing, nothing)
        return cls(*(torch.cat([getattr(part, f.name) for part in parts]) for f in fields(cls)))

    def __len__(self) -> int:
        return len(self.tp)

    def of_class(self, index: int) -> PixelCounts:
        """The counts of one class: tensors (n_images, 1); the background stays what it is."""
        tp, fp, fn, tn = (c[:, [index]] for c in (self.tp, self.fp, self.fn, self.tn))
        return PixelCounts(tp, fp, fn, tn, self.ground)

    @property
    def has_mask(self) -> torch.Tensor:
        """bool (n_images, n_classes): where the truth has at least one pixel."""
        return (self.tp + self.fn) > 0

    @property
    def answered(self) -> torch.Tensor:
        """bool (n_images, n_classes): where the answer has at least one pixel."""
        return (self.tp + self.fp) > 0

    @property
    def dice(self) -> torch.Tensor:
        """Dice (n_images, n_classes), 1 where both truth and answer are empty (Kaggle's definition)."""
        return torch.nan_to_num(2 * self.tp / (2 * self.tp + self.fp + self.fn), nan=1.0).double()


def pixels(masks: torch.Tensor) -> torch.Tensor:
    """int64 (n, k): how many pixels of bool masks (n, k, h, w) are set."""
    return masks.flatten(2).count_nonzero(dim=2)


def mask_metrics(counts: PixelCounts) -> dict[str, float]:
    """Metrics over images and classes, each in [0, 1].

    `dice`, `iou`: the mean over all pairs of image and class, 1 where both truth and answer are empty (Kaggle's definition).
    `defect_dice`: the mean over the pairs whose truth is not empty, which an empty answer cannot win; left out where there
    is none. `miou`: the mean over classes and background of the IoU of all images' pixels together, over those that are there
    or answered; `class_iou` leaves the background out. `pixel_accuracy`: share of pixels in which every class is right.
    `pixel_precision`, `pixel_recall`: over all pixels together. `image_accuracy`, `image_precision`, `image_recall`: of "has
    this class or not", over the pairs.
    """
    if not len(counts):
        return {}
    tp, fp, fn = (float(c.sum()) for c in (counts.tp, counts.fp, counts.fn))
    asked, answered = counts.has_mask, counts.answered
    found = float((asked & answered).sum())
    hits, union = _hits_and_union(counts)
    ious = hits.mean(axis=0) / union.mean(axis=0)
    is_class = len(ious) - bool(counts.ground[:, :3].any())
    values = {
        "dice": float(counts.dice.mean()),
        "iou": float(torch.nan_to_num(counts.tp / (counts.tp + counts.fp + counts.fn), nan=1.0).mean()),
        "miou": float(ious.mean()),
        "class_iou": float(ious[:is_class].mean()) if is_class else 1.0,
        "pixel_accuracy": float(counts.ground[:, 3].sum() / _n_pixels(counts)),
        "pixel_precision": _ratio(tp, tp + fp),
        "pixel_recall": _ratio(tp, tp + fn),
        "image_accuracy": float((answered == asked).double().mean()),
        "image_precision": _ratio(found, float(answered.sum())),
        "image_recall": _ratio(found, float(asked.sum())),
    }
    if asked.any():
        values["defect_dice"] = float(counts.dice[asked].mean())
    return values


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _n_pixels(counts: PixelCounts) -> torch.Tensor:
    return (counts.tp + counts.fp + counts.fn + counts.tn)[:, 0].sum()


def mask_standard_errors(counts: PixelCounts) -> dict[str, float]:
    """Of dice, miou and defect_dice, where they are defined: how far each would vary with other images."""
    influences = {
        name: influence_of_ratios(above, below).mean(axis=1)
        for name, (above, below) in _ratios(counts).items()
    }
    return {name: standard_error(influence) for name, influence in influences.items()}


def mask_intervals(counts: PixelCounts, seed: int = 0) -> dict[str, tuple[float, float]]:
    """95 % percentile intervals of the same metrics, over 1000 bootstraps of the images (Efron 1979, doi:10.1214/aos/1176344552)."""
    if not (n := len(counts)):
        return {}
    draws, intervals = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), BOOTSTRAPS), {}
    for name, (above, below) in _ratios(counts).items():
        drawn = draws @ below
        # A draw may miss every image of a rare class: the mean is over those it has.
        ratios = np.divide(draws @ above, drawn, where=drawn > 0, out=np.zeros_like(drawn))
        with np.errstate(invalid="ignore"):
            values = ratios.sum(axis=1) / (drawn > 0).sum(axis=1)
        low, high = np.nanquantile(values, COVERED)
        intervals[name] = (float(low), float(high))
    return intervals


def _ratios(counts: PixelCounts) -> dict[str, tuple[Floats, Floats]]:
    """Metric → numerators and denominators (n_images, n): the metric is the mean of Σ numerators / Σ denominators."""
    if not len(counts):
        return {}
    dice, present = counts.dice.numpy(), counts.has_mask.numpy()
    ratios = {
        "dice": (dice.mean(axis=1, keepdims=True), np.ones((len(dice), 1))),
        "miou": _hits_and_union(counts),
    }
    if present.any():
        asked = present.sum(axis=1, keepdims=True).astype(float)
        ratios["defect_dice"] = ((dice * present).sum(axis=1, keepdims=True), asked)
    return ratios


def _hits_and_union(counts: PixelCounts) -> tuple[Floats, Floats]:
    """True positives and union (n_images, n_seen) of each class and, last, of the background, where they are seen at all."""
    hits = torch.cat([counts.tp, counts.ground[:, :1]], dim=1).double().numpy()
    unions = [counts.tp + counts.fp + counts.fn, counts.ground[:, :3].sum(dim=1, keepdim=True)]
    union = torch.cat(unions, dim=1).double().numpy()
    seen = union.any(axis=0)
    return hits[:, seen], union[:, seen]


def final_mask_metrics(counts: PixelCounts, classes: tuple[str, ...], **more: float) -> FinalMetrics:
    """Metrics of the test part, for each class too; `support` is the number of images that hold the class. `more`: metrics to
    tell beside them."""
    per_class = {}
    for index, name in enumerate(classes):
        own = mask_metrics(counts.of_class(index)) | {"support": float(counts.has_mask[:, index].sum())}
        per_class[name] = {metric: value for metric, value in own.items() if metric not in SHARED}
    return FinalMetrics(
        metrics=mask_metrics(counts) | more if len(counts) else {},
        standard_error=mask_standard_errors(counts),
        interval=mask_intervals(counts),
        per_class=per_class if len(counts) else {},
    )
