"""What a recommendation says: ranked pairs with interval, basis, evidence and cost, similar data sets, warnings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from lib.frozen import Frozen
from lib.performance_prediction.boosting.cells import Pair
from lib.recommendation.more_images import MoreImages

Basis = Literal["measured", "completed", "predicted"]


class Cost(Frozen):
    """What a pair costs, from run records of one device; None where no run says. Latencies are medians without preprocessing."""

    parameters: int = Field(description="backbone and head together")
    latency_ms: float | None = Field(description="one image")
    latency32_ms: float | None = Field(description="a batch of 32 images")
    training_s: float | None = Field(
        description="features and head, scaled to the number of images of this data set"
    )
    device: str = Field(description="where latency and training time were measured")


class PairQuality(Frozen):
    """Quality of one pair on this data set, what it rests on, and that in words. `low`, `high`: its 90 % interval.

    `rank_by`: what it is ranked by, the validation parts' quality where it was measured; `spread`: standard error of the rank.
    """

    backbone: str
    head: str
    quality: float
    low: float
    high: float
    basis: Basis
    evidence: str
    rank_by: float
    spread: float

    @property
    def pair(self) -> Pair:
        """Its name."""
        return Pair(self.backbone, self.head)

    def noise(self, other: PairQuality, floor: float | None) -> float:
        """What difference of the two decides nothing: of measured pairs one standard error of it; else the noise `floor` (what
        choosing with everything measured would miss), where that is known. On families left out the cheapest pair
        within the floor was as good as the first; the cheapest within a standard error of predictions missed twice as much."""
        both = self.basis == other.basis == "measured"
        return math.hypot(self.spread, other.spread) if both or floor is None else floor


ALIKE = 1.5
"""Costs of no more than half as much again as the least are no reason to take a pair that is expected to be worse."""


class Candidate(PairQuality):
    """One pair as recommended. `equal`: the evidence cannot tell it from the first."""

    rank: int
    equal: bool
    cost: Cost


def cheapest(candidates: Sequence[Candidate]) -> Candidate:
    """Of pairs that are equally good the one of the least latency × training time, half of one being worth half of the other; of
    those within a factor of ALIKE of the least, the first. What is not known of all of them does not count."""
    figures = [(c.cost.latency_ms, c.cost.training_s) for c in candidates]
    known = [place for place in (0, 1) if all(figure[place] is not None for figure in figures)]
    products = [math.prod(figure[place] or 0.0 for place in known) for figure in figures]
    return next(one for one, cost in zip(candidates, products, strict=True) if cost <= ALIKE * min(products))


class SimilarSet(Frozen):
    """A known data set that looks alike. `distance`: root mean squared difference of standardised meta-features."""

    name: str
    domain: str
    distance: float
    best_pair: str
    best_quality: float


class Recommendation(Frozen):
    """The answer for one data set.

    `equals`: how many of all pairs considered cannot be told from the first; `level`, `order`: which predictors say how high the
    pairs lie and how they differ; `typical_error`: mean absolute error of such answers on left-out data sets (None where it
    could not be measured). `pick`: the cheapest of the equals; `answers`: one sentence each on training, network, head and more images. `evidence`: what the numbers rest on, one sentence each; `warnings`: what a reader must know first.
    """

    data_set: str
    task: str
    domain: str
    metric: str
    candidates: tuple[Candidate, ...]
    pick: Candidate
    answers: tuple[str, ...]
    more_images: MoreImages
    n_considered: int
    equals: int
    similar: tuple[SimilarSet, ...]
    level: str
    order: str
    typical_error: float | None
    chance_quality: float | None = Field(description="what always saying the largest class reaches")
    evidence: tuple[str, ...]
    warnings: tuple[str, ...]


def counted(count: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
