"""One fold to train and what comes of it: the words that heads and those who call them share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lib.datasets.base import DataSet
from lib.records import EpochEntry, FinalMetrics, GridPoint, Recipe
from lib.records.schema import Option

if TYPE_CHECKING:
    import torch

    from lib.zoo.backbones import Backbone


@dataclass(frozen=True)
class TrainingJob:
    """One fold of one cell to train: `data_set.parts` says who trains, validates and tests.

    `features`: float32 array (n_files, embedding_width) in the order of `data_set.files`; None where the head works on
    images (masks, fine-tuning). `on_epoch` is called after each epoch, for the live table.
    """

    data_set: DataSet
    backbone: Backbone
    recipe: Recipe
    seed: int
    device: torch.device
    features: npt.NDArray[np.float32] | None = None
    on_epoch: Callable[[EpochEntry], None] = field(default=lambda entry: None)


@dataclass(frozen=True)
class TrainingResult:
    """What training a head on one fold gives back.

    `epochs`, `final`: of the settings `chosen` on the validation part out of `grid`. `validation`: its metrics after the last
    epoch. `batch_size`: what was used of the recipe's, 0 where there are no batches. `predict`, for measuring latency:
    features of one batch (classification, fine-tuned or not: the head's share) or uint8 images (masks) → scores; None where
    there is nothing to time.
    """

    epochs: tuple[EpochEntry, ...]
    validation: dict[str, float]
    final: FinalMetrics
    parameters: int
    training_s: float
    evaluation_s: float
    predict: Callable[[npt.NDArray[Any]], npt.NDArray[np.float32]] | None = None
    chosen: dict[str, Option] = field(default_factory=dict)
    grid: tuple[GridPoint, ...] = ()
    batch_size: int = 0
    notes: tuple[str, ...] = ()
