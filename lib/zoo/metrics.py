"""Metrics of classification from labels and probabilities, in numpy alone: measured after every epoch, so they must be quick."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from lib.datasets.base import DataSet
from lib.errors import CvAutomlError
from lib.records import EpochEntry, FinalMetrics
from lib.zoo.standard_errors import standard_errors

Labels = npt.NDArray[np.int64]
Probabilities = npt.NDArray[np.float64]

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
    measured = {
        "accuracy": float(np.trace(confusion) / len(labels)),
        "balanced_accuracy": _balanced_accuracy(confusion),
        "macro_f1": _macro_f1(confusion),
    }
    area = one_versus_rest_auroc(labels, probabilities)
    return measured if area is None else {**measured, "auroc": area}


def classification_metrics(labels: Labels, probabilities: Probabilities) -> dict[str, float]:
    """The metrics that rank, and how far the probabilities can be believed: log_loss and ece. Empty for an empty part."""
    if len(labels) == 0:
        return {}
    return {
        **ranking_metrics(labels, probabilities),
        "log_loss": _log_loss(labels, probabilities),
        "ece": expected_calibration_error(labels, probabilities),
    }


def confusion_matrix(labels: Labels, probabilities: Probabilities) -> npt.NDArray[np.int64]:
    """Images (n_classes, n_classes): rows true, columns predicted."""
    n_classes = probabilities.shape[1]
    pairs = labels * n_classes + probabilities.argmax(axis=1)
    return np.bincount(pairs, minlength=n_classes**2).reshape(n_classes, n_classes)


def _balanced_accuracy(confusion: npt.NDArray[np.int64]) -> float:
    present = confusion.sum(axis=1) > 0
    return float((np.diag(confusion)[present] / confusion.sum(axis=1)[present]).mean())


def _macro_f1(confusion: npt.NDArray[np.int64]) -> float:
    asked_or_answered = confusion.sum(axis=0) + confusion.sum(axis=1)
    seen = asked_or_answered > 0
    return float((2 * np.diag(confusion)[seen] / asked_or_answered[seen]).mean())


def _log_loss(labels: Labels, probabilities: Probabilities) -> float:
    of_the_truth = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.clip(of_the_truth, SMALLEST_PROBABILITY, 1)).mean())


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
    precision = hits / np.maximum(answered, 1)
    recall = hits / np.maximum(support, 1)
    f1 = 2 * hits / np.maximum(support + answered, 1)
    return {
        name: {
            "precision": float(precision[i]),
            "recall": float(recall[i]),
            "f1": float(f1[i]),
            "support": float(support[i]),
        }
        for i, name in enumerate(classes)
    }


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

    def entry(
        self,
        epoch: int,
        probabilities: Probabilities,
        train_loss: float | None = None,
        learning_rate: float | None = None,
    ) -> EpochEntry:
        """The entry of one epoch."""
        validation, test = (
            ranking_metrics(self.labels[rows], probabilities[rows]) for rows in (~self.is_test, self.is_test)
        )
        return EpochEntry(
            epoch=epoch,
            train_loss=train_loss,
            learning_rate=learning_rate,
            validation=validation,
            test=test,
        )

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
