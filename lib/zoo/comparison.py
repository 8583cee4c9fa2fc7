"""Heads that answered for the same images: how sure their numbers are, and whether one is truly better than another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lib.records import BackboneInfo, DataSetInfo, Latency

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

REFERENCE, TEACHER, STUDENT, ALONE, TABULAR = "linear", "mlp", "student", "student_alone", "tabular"
RESAMPLES = 4000
LEVEL = 0.95


@dataclass(frozen=True)
class Answered:
    """What one head on one backbone answered: `answers` (n_tested,) of class indices, in the order of `Comparison.labels`.

    `parameters`: of the head. `head_latency`, `latency`: of the head alone, and with its backbone; None where not measured.
    """

    backbone: BackboneInfo
    head: str
    parameters: int
    answers: Counts
    head_latency: Latency | None = None
    latency: Latency | None = None

    @property
    def name(self) -> str:
        """`backbone × head`."""
        return f"{self.backbone.name} × {self.head}"


@dataclass(frozen=True)
class Comparison:
    """All heads on the images of one data set that its folds test, each once: `labels` (n_tested,) of class indices."""

    data_set: DataSetInfo
    labels: Counts
    answered: tuple[Answered, ...]
    left_out: tuple[str, ...] = ()

    def confusion(self, one: Answered) -> Counts:
        """Images (n_classes, n_classes): rows true, columns answered."""
        n = len(self.data_set.classes)
        return np.bincount(self.labels * n + one.answers, minlength=n * n).reshape(n, n)

    def of(self, backbone: str, head: str) -> Answered | None:
        """One pair; None where it was not compared."""
        return next((a for a in self.answered if (a.backbone.name, a.head) == (backbone, head)), None)


@dataclass(frozen=True)
class Estimate:
    """A number with the interval that holds it in 95 % of resamples of the tested images."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Paired:
    """Accuracy of one head less another's on the same images, and McNemar's exact p of no difference."""

    difference: Estimate
    p_value: float


def measured(confusion: Counts) -> dict[str, Estimate]:
    """Accuracy, balanced accuracy and macro F1 (over the classes there are), each with its interval.

    `confusion` (n_classes, n_classes). The metrics depend on the confusion alone, so that a bootstrap of the images is a draw
    of its cells from a multinomial distribution.
    """
    found, drawn = _metrics(confusion[None]), _metrics(_resampled(confusion))
    return {name: _estimate(float(value[0]), drawn[name]) for name, value in found.items()}


def paired(labels: Counts, answers: Counts, reference: Counts) -> Paired:
    """Answers against the reference's for the same images, all (n,); p by McNemar's exact test: of the images on which one is
    right and the other wrong, each side has half (McNemar 1947, doi:10.1007/BF02295996)."""
    from scipy.stats import binomtest

    right, reference_right = answers == labels, reference == labels
    gained, lost = int((right & ~reference_right).sum()), int((~right & reference_right).sum())
    drawn = _resampled(np.array([gained, lost, len(labels) - gained - lost]))
    difference = _estimate((gained - lost) / len(labels), (drawn[:, 0] - drawn[:, 1]) / len(labels))
    return Paired(difference, float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0)


def _resampled(counts: Counts) -> Counts:
    """RESAMPLES draws of as many images with replacement: (RESAMPLES, *counts.shape)."""
    n, flat = int(counts.sum()), counts.reshape(-1)
    drawn = np.random.default_rng(0).multinomial(n, flat / n, size=RESAMPLES)
    return drawn.reshape(RESAMPLES, *counts.shape)


def _metrics(confusions: Counts) -> dict[str, Floats]:
    """Of each confusion (n, n_classes, n_classes): (n,) a metric."""
    hits = np.diagonal(confusions, axis1=1, axis2=2)
    support = confusions.sum(axis=2)
    both = support + confusions.sum(axis=1)
    return {
        "accuracy": hits.sum(axis=1) / support.sum(axis=1),
        "balanced_accuracy": _mean_of_defined(hits, support),
        "macro_f1": _mean_of_defined(2 * hits, both),
    }


def _mean_of_defined(above: Counts, below: Counts) -> Floats:
    ratios = np.divide(above, below, out=np.zeros(above.shape), where=below > 0)
    return np.asarray(ratios.sum(axis=1) / (below > 0).sum(axis=1))


def _estimate(value: float, drawn: Floats) -> Estimate:
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, float(low), float(high))
