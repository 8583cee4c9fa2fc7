"""How far a metric would vary with other test images, from each image's influence on it: no bootstrap is drawn.

A metric that is a smooth function of means moves by the mean of its influence function when images are exchanged, so that its
standard error is the influence's spread over √n (Hampel 1974, doi:10.1080/01621459.1974.10482962).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


def standard_errors(labels: Labels, probabilities: Floats) -> dict[str, float]:
    """Of accuracy, balanced_accuracy, macro_f1 and, where it is defined, auroc; empty for an empty part.

    `labels` (n,), `probabilities` (n, n_classes).
    """
    if not len(labels):
        return {}
    truth = labels[:, None] == np.arange(probabilities.shape[1])
    answer = probabilities.argmax(axis=1)[:, None] == np.arange(probabilities.shape[1])
    hit = (truth & answer).any(axis=1).astype(float)
    influences = {
        "accuracy": hit - hit.mean(),
        "balanced_accuracy": _of_balanced_accuracy(truth, hit),
        "macro_f1": _of_macro_f1(truth, answer),
    }
    area = _of_auroc(truth, probabilities)
    if area is not None:
        influences["auroc"] = area
    return {name: standard_error(influence) for name, influence in influences.items()}


def standard_error(influence: Floats) -> float:
    """√Σφ² / n of the influences φ (n,), whose mean is 0."""
    return float(np.sqrt((influence**2).sum()) / len(influence))


def combined_standard_error(of_folds: Sequence[float]) -> float:
    """Of the mean over folds that test different images: √Σ se² / K."""
    return math.hypot(*of_folds) / len(of_folds)


def _of_balanced_accuracy(truth: npt.NDArray[np.bool_], hit: Floats) -> Floats:
    """(hit − recall of the image's class) / (classes present · share of the class)."""
    present = truth.any(axis=0)
    share = truth[:, present].mean(axis=0)
    recall = (truth[:, present] * hit[:, None]).mean(axis=0) / share
    influence: Floats = (truth[:, present] * (hit[:, None] - recall) / share).sum(axis=1) / present.sum()
    return influence


def _of_macro_f1(truth: npt.NDArray[np.bool_], answer: npt.NDArray[np.bool_]) -> Floats:
    """Of a class's F1 = 2 E[truth·answer] / E[truth + answer] as a ratio of means; mean over the classes seen."""
    both, either = 2.0 * (truth & answer), 1.0 * truth + answer
    seen = either.any(axis=0)
    f1 = both[:, seen].mean(axis=0) / either[:, seen].mean(axis=0)
    influence: Floats = ((both[:, seen] - f1 * either[:, seen]) / either[:, seen].mean(axis=0)).mean(axis=1)
    return influence


def _of_auroc(truth: npt.NDArray[np.bool_], scores: Floats) -> Floats | None:
    """Mean over classes of the placement values of DeLong et al. (1988, doi:10.2307/2531595), from ranks; None where no
    class is both present and absent."""
    defined = [c for c in range(truth.shape[1]) if truth[:, c].any() and not truth[:, c].all()]
    if not defined:
        return None
    influence: Floats = np.mean([_placements(truth[:, c], scores[:, c]) for c in defined], axis=0)
    return influence


def _placements(positive: npt.NDArray[np.bool_], scores: Floats) -> Floats:
    """(placement − area) / share of its side: the share of the other side that an image is on the right side of."""
    ranks, placement = rankdata(scores), np.empty(len(scores))
    for side in (positive, ~positive):
        beaten = (ranks[side] - rankdata(scores[side])) / (~side).sum()
        placement[side] = beaten if side is positive else 1 - beaten
    area = placement[positive].mean()
    return (placement - area) / np.where(positive, positive.mean(), 1 - positive.mean())
