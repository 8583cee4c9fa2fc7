"""What generated images are worth: a head's accuracy with more and more of them beside the real training images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import fmean, stdev

import numpy as np
import torch

from lib.config import Settings
from lib.datasets.base import DataSet
from lib.datasets.generated import is_drawn
from lib.features.embeddings import embeddings_of
from lib.zoo.heads import HEADS, TrainingJob
from lib.zoo.recipes import recipe_for
from lib.zoo.upscaling import opened_for

SHARES = (0, 25, 50, 100)


@dataclass(frozen=True)
class StudyRow:
    """One share of generated images: test accuracy of each seed, mean, and spread over the seeds (None of one alone)."""

    percent: int
    n_real: int
    n_generated: int
    accuracies: tuple[float, ...]
    accuracy: float
    spread: float | None
    standard_error: float


@dataclass(frozen=True)
class Study:
    """Accuracy on the real test images of the one split, by share of generated images in the train part. A seed draws which of
    the generated images are used, and is the head's own. `standard_error`: what other test images would change."""

    data_set: str
    backbone: str
    head: str
    rows: tuple[StudyRow, ...]


def study(
    data_set: DataSet,
    backbone_name: str,
    head: str,
    settings: Settings,
    seeds: tuple[int, ...] = (0, 1, 2),
    on_images: Callable[[int, int], None] | None = None,
) -> Study:
    """Trains `head` on frozen features of a set that `write_generated` wrote with 100 %, once for each share and seed."""
    backbone = opened_for(data_set, backbone_name, settings)
    features = embeddings_of(data_set, backbone, settings, on_images).values
    recipe = recipe_for(head, "classification", settings, precision=backbone.precision)

    def result(percent: int, seed: int) -> tuple[float, float]:
        chosen = with_share(data_set, percent, seed)
        final = (
            HEADS[head]()
            .train(TrainingJob(chosen, backbone, recipe, seed, torch.device("cpu"), features))
            .final
        )
        return final.metrics["accuracy"], final.standard_error["accuracy"]

    rows = []
    for percent in SHARES:
        found = [result(percent, seed) for seed in seeds]
        accuracies = tuple(accuracy for accuracy, _ in found)
        train = with_share(data_set, percent, 0).indices("train")
        n_generated = int(is_drawn(data_set)[train].sum())
        rows.append(
            StudyRow(
                percent=percent,
                n_real=len(train) - n_generated,
                n_generated=n_generated,
                accuracies=accuracies,
                accuracy=fmean(accuracies),
                spread=stdev(accuracies) if len(accuracies) > 1 else None,
                standard_error=fmean(error for _, error in found),
            )
        )
    return Study(data_set.parent or data_set.name, backbone_name, head, tuple(rows))


def with_share(data_set: DataSet, percent: int, seed: int) -> DataSet:
    """The set with `percent` of every class's generated images in its train part, the others unused; the seed says which."""
    assert data_set.labels is not None
    parts, drawn = data_set.parts.copy(), is_drawn(data_set)
    generator = np.random.default_rng(seed)
    for label in range(len(data_set.classes)):
        members = generator.permutation(np.flatnonzero(drawn & (data_set.labels == label)))
        parts[members[round(len(members) * percent / 100) :]] = "unused"
    return replace(data_set, parts=parts, folds=())
