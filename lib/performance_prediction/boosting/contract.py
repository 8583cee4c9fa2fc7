"""Predicting pairs on a data set nobody has run: what every predictor is given and what it gives back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from lib.performance_prediction.boosting.evidence import Evidence, Pair
from lib.records import DataSetFacts
from lib.registry import Registry

Floats = npt.NDArray[np.float64]
Facts = Mapping[str, DataSetFacts]

CATBOOST, CATBOOST_PROBED, ROW_MODEL = "catboost", "catboost_probed", "row_model"
FEATURES_VERSION = 2  # of what CatBoost is told: models and judgements of another version are not used
HIGHEST_CHANCE = 0.95


class FittedSetPredictor(ABC):
    """Has learnt from evidence."""

    @abstractmethod
    def predict(self, facts: DataSetFacts, pairs: Sequence[Pair]) -> Floats:
        """Quality in [0, 1] of each pair, (n_pairs,), on a data set of which only `facts` are known.

        `pairs` are among those of the evidence it was fitted on, or get what is known of pairs in general.
        """


class SetPredictor(ABC):
    """Learns from evidence. A predictor is added by one decorated class: `@SET_PREDICTORS.register("additive")`.

    `trivial`: a rival that models must beat, fitted in milliseconds; models are not.
    """

    trivial: bool = False

    @abstractmethod
    def fit(self, evidence: Evidence, facts: Facts, seed: int = 0) -> FittedSetPredictor:
        """Every choice is made from `evidence` alone; `facts` of sets without a cell in it are not looked at."""


SET_PREDICTORS: Registry[type[SetPredictor]] = Registry("predictor")


def chance_level(facts: DataSetFacts | None) -> float:
    """What always saying the largest class would reach: 0 for masks and where the classes are unknown."""
    if facts is None or facts.task != "classification":
        return 0.0
    return min(facts.meta_features.get("majority_share", 0.0), HIGHEST_CHANCE)


def lift(quality: float | Floats, chance: float | Floats) -> Floats:
    """Quality as the share of the way from chance to perfect; negative below chance."""
    return (np.asarray(quality) - chance) / (1 - np.asarray(chance))


def unlift(lifted: float | Floats, chance: float | Floats) -> Floats:
    """The inverse of `lift`."""
    return np.asarray(chance) + (1 - np.asarray(chance)) * np.asarray(lifted)
