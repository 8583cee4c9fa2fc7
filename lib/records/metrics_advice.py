"""Which metric to trust on a data set, and why, from its numbers alone."""

from __future__ import annotations

from collections.abc import Sequence

from lib.records.schema import PRIMARY_METRIC, Metric, Task

EVEN_RATIO = 2.0
"""Largest over smallest class up to which accuracy says what it seems to."""

STEEP_RATIO = 10.0
"""Largest over smallest class from which false alarms of the largest outnumber the hits of the smallest."""

FEW_IMAGES = 50
"""Images of a class below which its share of hits at one threshold is mostly luck (standard error above .07)."""


def advised_metric(task: Task, class_counts: Sequence[int], n_images: int) -> tuple[Metric, str]:
    """The metric to rank by, and one sentence why.

    `class_counts`: images a class; of masks, images that hold the class, among `n_images`. Without counts it is the primary
    metric of the task.

    >>> advised_metric("classification", (349, 50), 399)[0]
    'balanced_accuracy'
    >>> print(advised_metric("segmentation", (25, 23, 38, 17), 142)[1])
    82 % of the pairs of image and class have no defect, which empty masks win in dice; defect_dice counts the others
    """
    present = [count for count in class_counts if count > 0]
    if not present or n_images < 1:
        return PRIMARY_METRIC[task], "nothing is known of its classes"
    if task == "segmentation":
        return _of_masks(len(class_counts), sum(present) / (n_images * len(class_counts)))
    return _of_classes(max(present), min(present), sum(present), len(present))


def _of_classes(most: int, fewest: int, n_images: int, n_classes: int) -> tuple[Metric, str]:
    always = f"always saying the largest class is right for {100 * most / n_images:.0f} % of the images"
    if most <= EVEN_RATIO * fewest:
        return "accuracy", f"the classes are nearly even: {always}"
    if n_classes == 2 and fewest < FEW_IMAGES:
        return "auroc", f"{always}, and a threshold on {fewest} of the other class is luck; auroc needs none"
    if n_classes > 2 and most > STEEP_RATIO * fewest:
        why = f"its false alarms outnumber the smallest class ({fewest} images); macro_f1 sees them"
        return "macro_f1", f"{always}, and {why}"
    return "balanced_accuracy", f"{always}; balanced_accuracy counts the smallest ({fewest} images) as much"


def _of_masks(n_classes: int, filled: float) -> tuple[Metric, str]:
    empty = f"{100 * (1 - filled):.0f} % of the pairs of image and class"
    if 2 * filled < 1:
        why = "have no defect, which empty masks win in dice; defect_dice counts the others"
        return "defect_dice", f"{empty} {why}"
    if n_classes > 1:
        why = "are empty: classes share the images, and miou counts large and small ones alike"
        return "miou", f"only {empty} {why}"
    return "dice", f"only {empty} are empty, so that empty masks win little"
