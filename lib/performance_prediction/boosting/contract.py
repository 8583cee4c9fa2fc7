"""Predicting pairs on a data set nobody has run in full: what every predictor is given and what it gives back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from lib.files import write_atomically
from lib.frozen import Frozen
from lib.performance_prediction.boosting.cells import Cell, Pair
from lib.performance_prediction.boosting.evidence import Evidence
from lib.records import DataSetFacts
from lib.records.schema import Metric, Task
from lib.registry import Registry

Floats = npt.NDArray[np.float64]
Regime = Literal["unseen", "probed"]

FEATURES_VERSION = 5  # of what predictors are told: models and judgements of another version are not used
HIGHEST_CHANCE = 0.95


@dataclass(frozen=True)
class Known:
    """Quality of a pair measured on the very data set that is asked about; `standard_error` with other test images."""

    quality: float
    standard_error: float = 0.0

    @classmethod
    def of(cls, cell: Cell) -> Known:
        """A measured cell as one that is known; an error that was not measured counts as none."""
        return cls(cell.quality, cell.standard_error or 0.0)


KnownCells = Mapping[Pair, Known]


class FittedSetPredictor(ABC):
    """Has learnt from evidence. `shrinks_known`: of a known cell it says what other images would show, less than what was measured by
    luck, so that pairs are ranked by that; else known cells are ranked as measured."""

    shrinks_known: ClassVar[bool] = False

    @abstractmethod
    def predict(self, facts: DataSetFacts, pairs: Sequence[Pair], known: KnownCells) -> Floats:
        """Quality in [0, 1] of each pair, (n_pairs,), on a data set of which `facts` and the `known` cells are known.

        `pairs` are among those of the evidence it was fitted on, or get what is known of pairs in general.
        """


class SetPredictor(ABC):
    """Learns from evidence. A predictor is added by one decorated class: `@SET_PREDICTORS.register("additive")`.

    `regimes`: where it is judged and may answer: "unseen" (nothing measured on the set) or "probed" (some cells are known).
    `simplicity`: of predictors that cannot be told apart the lowest answers; below 10 it is fitted in milliseconds, and
    judged whenever it is needed.
    """

    regimes: ClassVar[tuple[Regime, ...]] = ("unseen",)
    simplicity: ClassVar[int] = 0

    @abstractmethod
    def fit(self, evidence: Evidence, seed: int = 0) -> FittedSetPredictor:
        """Every choice is made from `evidence` and its facts alone."""


SET_PREDICTORS: Registry[type[SetPredictor]] = Registry("predictor")


def chance_level(facts: DataSetFacts | None, metric: Metric) -> float:
    """What always saying the largest class would reach: 0 for masks and where the classes are unknown."""
    if facts is None or facts.task != "classification":
        return 0.0
    share = facts.meta_features.get("majority_share", 0.0)
    if metric in ("accuracy", "auroc"):
        return 0.5 if metric == "auroc" else min(share, HIGHEST_CHANCE)
    n_classes = facts.meta_features.get("n_classes", float(len(facts.classes)))
    recalls = 1.0 if metric == "balanced_accuracy" else 2 * share / (1 + share)
    return recalls / n_classes if n_classes >= 1 else 0.0


def lift(quality: float | Floats, chance: float | Floats) -> Floats:
    """Quality as the share of the way from chance to perfect; negative below chance.

    >>> float(lift(0.75, 0.5))
    0.5
    """
    return (np.asarray(quality) - chance) / (1 - np.asarray(chance))


def unlift(lifted: float | Floats, chance: float | Floats) -> Floats:
    """The inverse of `lift`.

    >>> float(unlift(0.5, 0.5))
    0.75
    """
    return np.asarray(chance) + (1 - np.asarray(chance)) * np.asarray(lifted)


class Derived(Frozen):
    """What is kept of evidence: `digest` names the evidence, `features_version` what predictors were told of it."""

    kind: ClassVar[str]

    digest: str
    features_version: int
    task: Task
    metric: Metric
    epoch: int
    n_runs: int

    @staticmethod
    def stamp(evidence: Evidence) -> dict[str, Any]:
        """The fields of something derived now."""
        own = {name: getattr(evidence, name) for name in ("task", "metric", "epoch")}
        made = {"digest": evidence.digest(), "features_version": FEATURES_VERSION}
        return {**made, **own, "n_runs": len(evidence.runs)}

    @classmethod
    def path(cls, folder: Path, evidence: Evidence) -> Path:
        """The file of what is derived from this sort of evidence."""
        domains = "+".join(evidence.domains) or "all"
        return folder / f"{cls.kind}_{evidence.task}_{evidence.metric}_{domains}.json"

    @staticmethod
    def domains_of(path: Path, metric: Metric) -> tuple[str, ...]:
        """The domains that `path` wrote into a file's name, () for all."""
        domains = path.stem.rpartition(f"{metric}_")[2]
        return () if domains == "all" else tuple(domains.split("+"))

    def save(self, folder: Path, evidence: Evidence, indent: int | None = None) -> Path:
        """Writes it as JSON; returns the path."""
        path = self.path(folder, evidence)
        write_atomically(path, self.model_dump_json(indent=indent) + "\n")
        return path

    def is_fresh(self, evidence: Evidence) -> bool:
        """Whether it was derived from exactly this evidence and these features."""
        return (self.digest, self.features_version) == (evidence.digest(), FEATURES_VERSION)

    @classmethod
    def load(cls, folder: Path, evidence: Evidence) -> Self | None:
        """What was saved where it was derived from exactly this evidence and these features; else None."""
        try:
            saved = cls.model_validate_json(cls.path(folder, evidence).read_bytes())
        except (OSError, ValidationError):
            return None
        return saved if saved.is_fresh(evidence) else None
