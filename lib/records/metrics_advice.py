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
    return (
        _of_masks(len(class_counts), sum(present), n_images)
        if task == "segmentation"
        else _of_classes(present)
    )


def _of_classes(counts: Sequence[int]) -> tuple[Metric, str]:
    most, fewest = max(counts), min(counts)
    always = f"always saying the largest class is right for {most / sum(counts):.0%} of the images".replace(
        "%", " %"
    )
    if most <= EVEN_RATIO * fewest:
        return "accuracy", f"the classes are nearly even: {always}"
    if len(counts) == 2 and fewest < FEW_IMAGES:
        return "auroc", f"{always}, and a threshold on {fewest} of the other class is luck; auroc needs none"
    if len(counts) > 2 and most > STEEP_RATIO * fewest:
        return (
            "macro_f1",
            f"{always}, and its false alarms outnumber the smallest class ({fewest} images); macro_f1 sees them",
        )
    return "balanced_accuracy", f"{always}; balanced_accuracy counts the smallest ({fewest} images) as much"


def _of_masks(n_classes: int, n_present: int, n_images: int) -> tuple[Metric, str]:
    empty = f"{1 - n_present / (n_images * n_classes):.0%} of the pairs of image and class".replace("%", " %")
    if 2 * n_present < n_images * n_classes:
        return (
            "defect_dice",
            f"{empty} have no defect, which empty masks win in dice; defect_dice counts the others",
        )
    if n_classes > 1:
        return (
            "miou",
            f"only {empty} are empty: classes share the images, and miou counts large and small ones alike",
        )
    return "dice", f"only {empty} are empty, so that empty masks win little"
