"""Facts of a folder in, ranked pairs out, with what each number rests on and what to be wary of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lib.errors import TooLittleDataError
from lib.performance_prediction.boosting.contract import chance_level
from lib.performance_prediction.boosting.evidence import Evidence
from lib.recommendation.answer import Candidate, Cost, PairQuality, Recommendation
from lib.recommendation.costs import CostBook
from lib.recommendation.likeness import likeness
from lib.recommendation.qualities import pair_qualities
from lib.recommendation.warnings import equals_sentences, evidence_sentences, warning_sentences
from lib.records import DataSetFacts, RunRecord


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
    new: DataSetFacts,
    out_dir: Path,
    top: int = 5,
    limits: Limits | None = None,
    probed: Sequence[RunRecord] = (),
) -> Recommendation:
    """The `top` pairs for the data set described by `new`, within `limits`; `probed`: what was measured on it just now.

    Raises TooLittleDataError, naming the nearest possible pair, where the limits exclude every one.
    """
    limits = limits or Limits()
    qualities = pair_qualities(evidence, new, out_dir, probed)
    book = CostBook(evidence)
    priced = [(quality, book.cost(quality.pair, new)) for quality in qualities.pairs]
    within = [(quality, cost) for quality, cost in priced if limits.excess(cost) <= 1]
    if not within:
        raise TooLittleDataError(_nothing_within(limits, priced))
    alike = likeness(evidence, new)
    ranked = [_candidate(rank, within[0][0], *entry) for rank, entry in enumerate(within, 1)]
    equals = [candidate for candidate in ranked if candidate.equal]
    chance = chance_level(new, evidence.metric)
    warnings = warning_sentences(evidence, qualities, new, ranked[:top])
    return Recommendation(
        data_set=new.name,
        task=evidence.task,
        domain=new.domain,
        metric=evidence.metric,
        candidates=tuple(ranked[:top]),
        n_considered=len(within),
        equals=len(equals),
        similar=alike.similar,
        level=qualities.level,
        order=qualities.order,
        typical_error=qualities.typical_error,
        chance_quality=round(chance, 4) if chance else None,
        evidence=(*equals_sentences(equals), *evidence_sentences(evidence, qualities)),
        warnings=(*([alike.unlike] if alike.unlike else []), *warnings),
    )


def _candidate(rank: int, first: PairQuality, quality: PairQuality, cost: Cost) -> Candidate:
    """`equal` where the distance from the first is within one standard error of the difference."""
    noise = math.hypot(first.spread, quality.spread)
    equal = rank == 1 or first.rank_by - quality.rank_by <= noise
    return Candidate(**dict(quality), rank=rank, equal=equal, cost=cost)


def _nothing_within(limits: Limits, priced: Sequence[tuple[PairQuality, Cost]]) -> str:
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
