"""The linear head: one logit a class straight from the embedding, as logistic regression finds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lib.config import Settings
from lib.records.schema import Option
from lib.zoo.heads.base import HEADS
from lib.zoo.heads.dense import DenseHead
from lib.zoo.jobs import TrainingJob

if TYPE_CHECKING:
    from lib.zoo.dense import FittedNetwork


@HEADS.register("linear")
class LinearHead(DenseHead):
    """width·classes + classes parameters: 1,540 for 384 features and 4 classes."""

    name = "linear"
    uses_gradient = False

    def grid(self, settings: Settings) -> dict[str, tuple[Option, ...]]:
        """The penalty's inverse strength, as scikit-learn counts it."""
        return {"C": settings.classification.linear_c}

    def fitted(self, job: TrainingJob) -> FittedNetwork:
        """Logistic regression to convergence."""
        from lib.zoo.logistic import fitted_logistic

        return fitted_logistic(job)
