"""Metrics of classification from labels and probabilities, and how far each would vary with other test images.

In numpy alone: measured after every epoch, so they must be quick. A metric that is a smooth function of means moves by the mean
of its influence function when images are exchanged, so that its standard error is the influence's spread over √n (Hampel 1974,
doi:10.1080/01621459.1974.10482962): no bootstrap is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from lib.datasets.base import DataSet
from lib.errors import CvAutomlError
from lib.records import FinalMetrics

Labels = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Probabilities = Floats

CALIBRATION_BINS = 15
SMALLEST_PROBABILITY = 1e-15


def ranking_metrics(labels: Labels, probabilities: Probabilities) -> dict[str, float]:
    """What pairs can be ranked by, as scikit-learn defines it; measured after every epoch.

    `labels` (n,) of class indices, `probabilities` (n, n_classes) with rows that add up to 1. Returns accuracy,
    balanced_accuracy (over the classes present), macro_f1 (over the classes present or answered) and, where at least one
    class is both present and absent, auroc. Empty for an empty part.
    Raises CvAutomlError when a probability is not a number: the training diverged.
    """
    if len(labels) == 0:
        return {}
    if not np.isfinite(probabilities).all():
        raise CvAutomlError("training diverged: probabilities are not numbers; lower the learning rate")
    confusion = confusion_matrix(labels, probabilities)
    hits, support = np.diag(confusion), confusion.sum(axis=1)
    either = confusion.sum(axis=0) + support
    measured = {
        "accuracy": float(np.trace(confusion) / len(labels)),
        "balanced_accuracy": float((hits[support > 0] / support[support > 0]).mean()),
        "macro_f1": float((2 * hits[either > 0] / either[either > 0]).mean()),
    }
    area = one_versus_rest_auroc(labels, probabilities)
    return measured if area is None else {**measured, "auroc": area}


def classification_metrics(labels: Labels, probabilities: Probabilities) -> dict[str, float]:
    """The metrics that rank, and how far the probabilities can be believed: log_loss and ece. Empty for an empty part."""
    if len(labels) == 0:
        return {}
    of_the_truth = probabilities[np.arange(len(labels)), labels]
    return {
        **ranking_metrics(labels, probabilities),
        "log_loss": float(-np.log(np.clip(of_the_truth, SMALLEST_PROBABILITY, 1)).mean()),
        "ece": expected_calibration_error(labels, probabilities),
    }


def confusion_matrix(labels: Labels, probabilities: Probabilities) -> npt.NDArray[np.int64]:
    """Images (n_classes, n_classes): rows true, columns predicted."""
    n_classes = probabilities.shape[1]
    pairs = labels * n_classes + probabilities.argmax(axis=1)
    return np.bincount(pairs, minlength=n_classes**2).reshape(n_classes, n_classes)


def expected_calibration_error(labels: Labels, probabilities: Probabilities) -> float:
    """Mean gap between confidence and accuracy over 15 equal-width bins of confidence (Guo et al. 2017, arXiv:1706.04599)."""
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    bins = np.clip(np.ceil(confidence * CALIBRATION_BINS).astype(int) - 1, 0, CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, weights=correct - confidence, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(labels))


def one_versus_rest_auroc(labels: Labels, probabilities: Probabilities) -> float | None:
    """Mean over classes of the area under the ROC curve of that class against the rest, from ranks (Mann–Whitney).

    Classes without a positive or without a negative are left out; None when none remains.
    """
    positive = labels[:, None] == np.arange(probabilities.shape[1])
    n_positive = positive.sum(axis=0)
    n_negative = len(labels) - n_positive
    defined = (n_positive > 0) & (n_negative > 0)
    if not defined.any():
        return None
    ranks = rankdata(probabilities[:, defined], axis=0)
    rank_sums = (ranks * positive[:, defined]).sum(axis=0)
    above = rank_sums - n_positive[defined] * (n_positive[defined] + 1) / 2
    return float((above / (n_positive[defined] * n_negative[defined])).mean())


def per_class_metrics(
    confusion: npt.NDArray[np.int64], classes: tuple[str, ...]
) -> dict[str, dict[str, float]]:
    """Class → precision, recall, f1 (0 where nothing was answered or asked) and support in images."""
    hits = np.diag(confusion).astype(float)
    support, answered = confusion.sum(axis=1), confusion.sum(axis=0)
    columns = {
        "precision": hits / np.maximum(answered, 1),
        "recall": hits / np.maximum(support, 1),
        "f1": 2 * hits / np.maximum(support + answered, 1),
        "support": support,
    }
    return {
        name: {metric: float(values[i]) for metric, values in columns.items()}
        for i, name in enumerate(classes)
    }


def standard_errors(labels: Labels, probabilities: Floats) -> dict[str, float]:
    """Of accuracy, balanced_accuracy, macro_f1 and, where it is defined, auroc; empty for an empty part.

    `labels` (n,), `probabilities` (n, n_classes).
    """
    if not len(labels):
        return {}
    truth = labels[:, None] == np.arange(probabilities.shape[1])
    answer = probabilities.argmax(axis=1)[:, None] == np.arange(probabilities.shape[1])
    hit = truth & answer
    present, seen = truth.any(axis=0), (truth | answer).any(axis=0)
    recall = influence_of_ratios(1.0 * hit[:, present], truth[:, present])
    f1 = influence_of_ratios(2.0 * hit[:, seen], (1.0 * truth + answer)[:, seen])
    influences = {
        "accuracy": hit.any(axis=1) - hit.any(axis=1).mean(),
        "balanced_accuracy": recall.mean(axis=1),
        "macro_f1": f1.mean(axis=1),
    }
    defined = np.flatnonzero(present & ~truth.all(axis=0))
    if len(defined):
        influences["auroc"] = np.mean(
            [_placements(truth[:, c], probabilities[:, c]) for c in defined], axis=0
        )
    return {name: standard_error(influence) for name, influence in influences.items()}


def standard_error(influence: Floats) -> float:
    """√Σφ² / n of the influences φ (n,), whose mean is 0."""
    return float(np.sqrt((influence**2).sum()) / len(influence))


def combined_standard_error(of_folds: Sequence[float]) -> float:
    """Of the mean over folds that test different images: √Σ se² / K."""
    return math.hypot(*of_folds) / len(of_folds)


def influence_of_ratios(above: Floats, below: npt.NDArray[Any]) -> Floats:
    """Influence (n, n_ratios) of each image on mean(above) / mean(below)."""
    mean = below.mean(axis=0)
    return (above - above.mean(axis=0) / mean * below) / mean


def _placements(positive: npt.NDArray[np.bool_], scores: Floats) -> Floats:
    """Influence (n,) on the area under the ROC curve, from ranks (DeLong et al. 1988, doi:10.2307/2531595).

    (placement − area) / share of its side: the placement is the share of the other side that an image is on the right side of.
    """
    ranks, placement = rankdata(scores), np.empty(len(scores))
    for side in (positive, ~positive):
        beaten = (ranks[side] - rankdata(scores[side])) / (~side).sum()
        placement[side] = beaten if side is positive else 1 - beaten
    area = placement[positive].mean()
    return (placement - area) / np.where(positive, positive.mean(), 1 - positive.mean())


@dataclass(frozen=True)
class Judge:
    """Who judges a fold: `rows` (n,) of the validation and test parts, their `labels` (n,), and which of them `is_test` (n,).

    Probabilities are given as (n, n_classes) in the order of `rows`.
    """

    rows: npt.NDArray[np.int64]
    labels: Labels
    is_test: npt.NDArray[np.bool_]
    classes: tuple[str, ...]

    @classmethod
    def of(cls, data_set: DataSet) -> Judge:
        """The judge of a data set with one fold's parts."""
        rows = np.flatnonzero(np.isin(data_set.parts, ("validation", "test")))
        return cls(rows, labels_of(data_set)[rows], data_set.parts[rows] == "test", data_set.classes)

    def metrics(self, probabilities: Probabilities) -> dict[str, dict[str, float]]:
        """The metrics of both parts, as an epoch's entry holds them: `validation` and `test`."""
        parts = {"validation": ~self.is_test, "test": self.is_test}
        return {part: ranking_metrics(self.labels[rows], probabilities[rows]) for part, rows in parts.items()}

    def final(self, probabilities: Probabilities) -> FinalMetrics:
        """Metrics with their standard errors, metrics a class and the confusion matrix of the test part."""
        labels, probabilities = self.labels[self.is_test], probabilities[self.is_test]
        confusion = confusion_matrix(labels, probabilities)
        return FinalMetrics(
            metrics=classification_metrics(labels, probabilities),
            standard_error=standard_errors(labels, probabilities),
            per_class=per_class_metrics(confusion, self.classes),
            confusion=tuple(tuple(int(n) for n in row) for row in confusion),
        )


def labels_of(data_set: DataSet) -> Labels:
    """Class indices (n_files,); raises CvAutomlError for a set of masks."""
    if data_set.labels is None:
        raise CvAutomlError(
            f"data set '{data_set.name}' has masks and no class labels: read it as classification with "
            f"'{data_set.name}@defect' or '{data_set.name}@dominant'"
        )
    return data_set.labels
