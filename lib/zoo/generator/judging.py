"""Whether generated images are of their class, and whether they are new: judged by a backbone's features of equally small images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lib.datasets.base import DataSet
from lib.zoo.base import Backbone
from lib.zoo.generator.training import Pictures, reduced
from lib.zoo.jobs import Standardisation

CLOSE_QUANTILE = 0.01
Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Judgement:
    """How good samples are. Distances are Euclidean between standardised features.

    `accuracy`: share of the samples whose class a classifier of the real training images finds; `accuracy_real`: the same of the
    real validation images. `distance`: median distance of a sample to the nearest training image, `distance_real` of a training
    image to the nearest other one. `copied`: share of the samples that are nearer to a training image than all but one in a
    hundred training images are to each other: about 0.01 where nothing was copied.
    """

    accuracy: float
    accuracy_real: float | None
    distance: float
    distance_real: float
    copied: float
    n_samples: int


def judge_samples(
    data_set: DataSet, samples: Pictures, labels: Labels, backbone: Backbone, size_px: int
) -> Judgement:
    """Judges uint8 samples (n, size_px, size_px, 3) of classes `labels` (n,) against the train part of a set with labels."""
    from sklearn.linear_model import LogisticRegression

    assert data_set.labels is not None
    train, validation = data_set.indices("train"), data_set.indices("validation")
    real = backbone.extract(list(reduced(data_set, train, size_px))).values
    scale = Standardisation.of(real)
    seen, drawn = scale(real), scale(backbone.extract(list(samples)).values)
    classifier = LogisticRegression(C=0.01, max_iter=1000).fit(seen, data_set.labels[train])
    accuracy_real = None
    if len(validation):
        held_out = scale(backbone.extract(list(reduced(data_set, validation, size_px))).values)
        accuracy_real = float(classifier.score(held_out, data_set.labels[validation]))
    between = nearest_other(seen)
    to_real = nearest(drawn, seen)
    return Judgement(
        accuracy=float(classifier.score(drawn, labels)),
        accuracy_real=accuracy_real,
        distance=float(np.median(to_real)),
        distance_real=float(np.median(between)),
        copied=float((to_real < np.quantile(between, CLOSE_QUANTILE)).mean()),
        n_samples=len(samples),
    )


def nearest(points: Floats, others: Floats) -> npt.NDArray[np.float64]:
    """Distance (n,) of each point (n, width) to the nearest of the others (m, width)."""
    from sklearn.neighbors import NearestNeighbors

    distances, _ = NearestNeighbors(n_neighbors=1).fit(others).kneighbors(points)
    return np.asarray(distances[:, 0])


def nearest_other(points: Floats) -> npt.NDArray[np.float64]:
    """Distance (n,) of each point to the nearest other one."""
    from sklearn.neighbors import NearestNeighbors

    distances, _ = NearestNeighbors(n_neighbors=1).fit(points).kneighbors()
    return np.asarray(distances[:, 0])
