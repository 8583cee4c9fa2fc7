"""What a recommendation says: ranked pairs with interval, basis, evidence and cost, similar data sets, warnings."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Basis = Literal["measured", "completed", "predicted"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Cost(_Frozen):
    """What a pair costs, from run records; None where no run says. Latencies are medians without preprocessing."""

    parameters: int = Field(description="backbone and head together")
    latency_ms: float | None = Field(description="one image")
    latency32_ms: float | None = Field(description="a batch of 32 images")
    training_s: float | None = Field(
        description="features and head, scaled to the number of images of this data set"
    )
    device: str = Field(description="where latency and training time were measured")


class Candidate(_Frozen):
    """One pair for this data set. `low`, `high`: 90 % interval of the quality."""

    rank: int
    backbone: str
    head: str
    quality: float
    low: float
    high: float
    basis: Basis
    evidence: str
    cost: Cost


class SimilarSet(_Frozen):
    """A known data set that looks alike. `distance`: root mean squared difference of standardised meta-features."""

    name: str
    domain: str
    distance: float
    best_pair: str
    best_quality: float


class Recommendation(_Frozen):
    """The answer for one data set.

    `typical_error`: mean absolute error of such predictions on left-out data sets (None where it could not be measured).
    `evidence`: what the numbers rest on, one sentence each; `warnings`: what a reader must know before trusting them.
    """

    data_set: str
    task: str
    domain: str
    metric: str
    candidates: tuple[Candidate, ...]
    n_considered: int
    similar: tuple[SimilarSet, ...]
    predictor: str
    typical_error: float | None
    chance_quality: float | None = Field(description="what always saying the largest class reaches")
    evidence: tuple[str, ...]
    warnings: tuple[str, ...]
