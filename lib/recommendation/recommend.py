"""Facts of a folder in, ranked pairs out, with what each number rests on and what to be wary of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lib.errors import TooLittleDataError
from lib.performance_prediction.boosting.contract import chance_level
from lib.performance_prediction.boosting.evidence import Evidence
from lib.recommendation.answer import Candidate, Cost, Recommendation
from lib.recommendation.costs import CostBook
from lib.recommendation.estimates import Estimate, Estimates, estimate_pairs
from lib.recommendation.likeness import likeness
from lib.recommendation.warnings import evidence_sentences, warning_sentences
from lib.records import DataSetFacts
from lib.records.schema import PRIMARY_METRIC


@dataclass(frozen=True)
class Limits:
    """What a pair may cost at most; None: no limit."""

    latency_ms: float | None = None
    parameters: int | None = None

    def excess(self, cost: Cost) -> float:
        """By what factor the cost is beyond the limits, 1 or less: within; infinite where the latency is not known."""
        factors = [0.0]
        if self.latency_ms is not None:
            factors.append(float("inf") if cost.latency_ms is None else cost.latency_ms / self.latency_ms)
        if self.parameters is not None:
            factors.append(cost.parameters / self.parameters)
        return max(factors)


def recommend(
    evidence: Evidence,
    facts: Mapping[str, DataSetFacts],
    new: DataSetFacts,
    out_dir: Path,
    top: int = 5,
    limits: Limits | None = None,
) -> Recommendation:
    """The `top` pairs for the data set described by `new`, within `limits`.

    Raises TooLittleDataError, naming the nearest possible pair, where the limits exclude every one.
    """
    limits = limits or Limits()
    estimates = estimate_pairs(evidence, facts, new, out_dir)
    book = CostBook(evidence)
    priced = [(estimate, book.cost(estimate.pair, new)) for estimate in estimates.pairs]
    within = [(estimate, cost) for estimate, cost in priced if limits.excess(cost) <= 1]
    if not within:
        raise TooLittleDataError(_nothing_within(limits, priced))
    alike = likeness(evidence, facts, new)
    chosen = within[:top]
    candidates = tuple(_candidate(i, estimate, cost) for i, (estimate, cost) in enumerate(chosen, 1))
    chance = chance_level(new)
    return Recommendation(
        data_set=new.name,
        task=evidence.task,
        domain=new.domain,
        metric=PRIMARY_METRIC[evidence.task],
        candidates=candidates,
        n_considered=len(within),
        similar=alike.similar,
        predictor=estimates.predictor,
        typical_error=_rounded(estimates.typical_error),
        chance_quality=_rounded(chance) if chance else None,
        evidence=evidence_sentences(evidence, estimates),
        warnings=_all_warnings(evidence, estimates, new, candidates, alike.unlike),
    )


def _all_warnings(
    evidence: Evidence,
    estimates: Estimates,
    new: DataSetFacts,
    candidates: Sequence[Candidate],
    unlike: str | None,
) -> tuple[str, ...]:
    return (*((unlike,) if unlike else ()), *warning_sentences(evidence, estimates, new, candidates))


def _candidate(rank: int, estimate: Estimate, cost: Cost) -> Candidate:
    return Candidate(
        rank=rank,
        backbone=estimate.pair.backbone,
        head=estimate.pair.head,
        quality=round(estimate.quality, 4),
        low=round(estimate.low, 4),
        high=round(estimate.high, 4),
        basis=estimate.basis,
        evidence=estimate.evidence,
        cost=cost,
    )


def _nothing_within(limits: Limits, priced: Sequence[tuple[Estimate, Cost]]) -> str:
    asked = [
        *([f"{limits.latency_ms:g} ms"] if limits.latency_ms is not None else []),
        *([f"{limits.parameters:,} parameters"] if limits.parameters is not None else []),
    ]
    nearest, cost = min(priced, key=lambda item: limits.excess(item[1]))
    latency = "unknown latency" if cost.latency_ms is None else f"{cost.latency_ms:.1f} ms"
    return (
        f"none of the {len(priced)} pairs stays within {' and '.join(asked)}; the nearest possible is "
        f"{nearest.pair.label} with {latency} and {cost.parameters:,} parameters: raise the limits to that"
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
