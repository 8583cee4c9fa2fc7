"""Piecewise linear encoding: a number becomes as many as it has bins, each telling how far the bin is filled."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lib.zoo.jobs import Floats, TrainingJob, TrainingResult, features_of
from lib.zoo.perceptron import fitted_perceptron


@dataclass(frozen=True)
class PiecewiseLinear:
    """`edges` (bins + 1, width): of each feature the quantiles that bound its bins."""

    edges: Floats

    @classmethod
    def of(cls, features: Floats, bins: int) -> PiecewiseLinear:
        """Bins with equally many rows of `features` (n, width) in each."""
        return cls(np.quantile(features, np.linspace(0, 1, bins + 1), axis=0).astype(np.float32))

    def __call__(self, features: Floats) -> Floats:
        """Features (n, width) → shares (n, bins · width) in [0, 1]: 1 of a bin below the number, 0 of one above it.

        Equation 1 of Gorishniy et al. 2022 (arXiv:2203.05556), but for the outermost bins, which end here as the others do: a
        number beyond all of the train part's counts as the furthest. An empty bin is a step.
        """
        low, width = self.edges[:-1], np.diff(self.edges, axis=0)
        above = features[:, None] - low
        filled = np.where(width > 0, above / np.where(width > 0, width, 1), above > 0)
        return np.clip(filled, 0, 1).reshape(len(features), -1).astype(np.float32)


def fitted_tabular(job: TrainingJob, hidden: tuple[int, ...]) -> TrainingResult:
    """The perceptron of the grid that does best on the validation part, on features encoded by the train part's quantiles."""
    train = features_of(job)[job.data_set.indices("train")]
    encode = PiecewiseLinear.of(train, int(job.recipe.options["bins"]))
    fitted = fitted_perceptron(replace(job, features=encode(features_of(job))), hidden)
    predict = fitted.result.predict
    assert predict is not None
    return replace(fitted.result, predict=lambda features: predict(encode(features)))
