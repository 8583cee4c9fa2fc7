"""From probabilities to masks: the threshold and the smallest area of each class, chosen on the validation part.

False alarms: a mask too small to be trusted is emptied. Kaggle's mean Dice gives 0 to a clean image with one wrong pixel and 1 to
an empty answer, so that is the usual remedy there; taken alone it would rather answer nothing at all where defects are rare.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from lib.records.schema import Option
from lib.zoo.segmentation.metrics import pixels

Aim = Literal["dice", "defect_dice", "both"]
Answered = tuple[torch.Tensor, torch.Tensor]
"""Probabilities (n, n_classes, h, w) and true masks (n, n_classes, h, w) of a few images of one size."""

THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
# Shares of the image; the last one empties every mask: right for a class whose masks only do harm.
AREAS = (0.0, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 2.0)


@dataclass(frozen=True)
class PostProcessing:
    """`thresholds`, `areas` (n_classes,): a pixel belongs to a class from this probability on, and a class's mask counts from this
    share of the image on."""

    thresholds: torch.Tensor
    areas: torch.Tensor

    @classmethod
    def plain(cls, n_classes: int, threshold: float = 0.5) -> PostProcessing:
        """One threshold for all, and every mask counts."""
        return cls(torch.full((n_classes,), threshold), torch.zeros(n_classes))

    def chosen(self, classes: Sequence[str]) -> dict[str, Option]:
        """`threshold:<class>` and `smallest_area:<class>`, as a fold's `chosen` holds them."""
        pairs = (("threshold", self.thresholds), ("smallest_area", self.areas))
        return {
            f"{what}:{name}": round(float(value), 6)
            for what, values in pairs
            for name, value in zip(classes, values, strict=True)
        }

    def masks(self, probabilities: torch.Tensor) -> torch.Tensor:
        """Probabilities (n, n_classes, h, w) → bool masks (n, n_classes, h, w)."""
        shape = (1, -1, 1, 1)
        masks = probabilities >= self.thresholds.to(probabilities).reshape(shape)
        areas = masks.float().mean(dim=(2, 3), keepdim=True)
        kept = areas >= self.areas.to(areas).reshape(shape)
        return masks if kept.all() else masks & kept


def best_post_processing(
    answers: Sequence[Answered], n_classes: int, threshold: float = 0.5, aim: Aim = "both"
) -> PostProcessing:
    """For each class the threshold and smallest area that do best by `aim`; the plain ones where equals do, or without answers.

    `dice`: mean Dice as Kaggle counts it. `defect_dice`: Dice where the class is there. `both`: their mean, so that neither an
    empty answer nor one that is full of false alarms wins.
    """
    plain = PostProcessing.plain(n_classes, threshold)
    if not answers:
        return plain
    thresholds = (threshold, *(value for value in THRESHOLDS if value != threshold))
    scores = torch.stack(
        [
            torch.stack([aimed_at(_dice(measured, share), measured[3] > 0, aim) for share in AREAS])
            for measured in (_measured(answers, value) for value in thresholds)
        ]
    )
    best = scores.flatten(0, 1).argmax(dim=0)
    return PostProcessing(
        torch.tensor(thresholds)[best // len(AREAS)], torch.tensor(AREAS)[best % len(AREAS)]
    )


def aimed_at(dice: torch.Tensor, present: torch.Tensor, aim: Aim) -> torch.Tensor:
    """What is to be highest, for each class (n_classes,): from Dice and "the class is there" (n_images, n_classes)."""
    of_all, n_present = dice.mean(dim=0), present.sum(dim=0)
    of_defects = torch.where(n_present > 0, (dice * present).sum(dim=0) / n_present.clamp(min=1), of_all)
    shares = {"dice": (1.0, 0.0), "defect_dice": (0.0, 1.0), "both": (0.5, 0.5)}[aim]
    return shares[0] * of_all + shares[1] * of_defects


def _measured(answers: Sequence[Answered], threshold: float) -> tuple[torch.Tensor, ...]:
    """(n_images, n_classes) each: answered pixels, their share of the image, hits, true pixels."""
    parts = []
    for probabilities, truth in answers:
        masks = probabilities >= threshold
        answered, hits, asked = (pixels(m).double() for m in (masks, masks & truth, truth))
        parts.append((answered, answered / (truth.shape[2] * truth.shape[3]), hits, asked))
    return tuple(torch.cat(part) for part in zip(*parts, strict=True))


def _dice(measured: tuple[torch.Tensor, ...], smallest: float) -> torch.Tensor:
    answered, share, hits, asked = measured
    kept = share >= smallest
    return torch.nan_to_num(2 * hits * kept / (answered * kept + asked), nan=1.0)
