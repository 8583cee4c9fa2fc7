"""The linear head: one logit a class straight from the embedding (logistic regression by gradient descent)."""

from __future__ import annotations

from lib.zoo.heads.base import HEADS
from lib.zoo.heads.dense import DenseHead


@HEADS.register("linear")
class LinearHead(DenseHead):
    """width·classes + classes parameters: 1,540 for 384 features and 4 classes."""

    name = "linear"
