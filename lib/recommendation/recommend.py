"""Facts of a folder in, ranked pairs out, with what each number rests on, what to be wary of, and what to run next."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lib.errors import TooLittleDataError
from lib.performance_prediction.boosting.contract import Known, chance_level
from lib.performance_prediction.boosting.evidence import Evidence
from lib.performance_prediction.boosting.scores import FEWEST_FAMILIES
from lib.recommendation.answer import Candidate, Cost, PairQuality, Recommendation, cheapest, counted
from lib.recommendation.costs import CostBook
from lib.recommendation.likeness import likeness
from lib.recommendation.more_images import more_images
from lib.recommendation.qualities import Qualities, measured_pairs, pair_qualities
from lib.recommendation.questions import answers
from lib.records import DataSetFacts, RunRecord

if TYPE_CHECKING:
    from lib.performance_prediction.rows.suggest import SuggestedColumns

WIDE_INTERVAL = 0.35
NAMED_SETS = 8
NAMED_EQUALS = 3


@dataclass(frozen=True)
class Limits:
    """What a pair may cost at most; None: no limit."""

    latency_ms: float | None = None
    parameters: int | None = None
    training_s: float | None = None

    def excess(self, cost: Cost) -> float:
        """By what factor the cost is beyond the limits, 1 or less: within; infinite where what is limited is not known."""
        factors = [0.0]
        if self.latency_ms is not None:
            factors.append(math.inf if cost.latency_ms is None else cost.latency_ms / self.latency_ms)
        if self.parameters is not None:
            factors.append(cost.parameters / self.parameters)
        if self.training_s is not None:
            factors.append(math.inf if cost.training_s is None else cost.training_s / self.training_s)
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
    similar, unlike = likeness(evidence, new)
    floor = qualities.judged.floor.mean if qualities.judged and qualities.judged.floor else None
    ranked = [_candidate(rank, within[0][0], floor, *entry) for rank, entry in enumerate(within, 1)]
    equals = [candidate for candidate in ranked if candidate.equal]
    pick = cheapest(equals)
    best = max(ranked, key=lambda candidate: candidate.quality)
    more = more_images(evidence, pick.pair, pick.quality, (best.pair, best.quality))
    chance = chance_level(new, evidence.metric)
    return Recommendation(
        data_set=new.name,
        task=evidence.task,
        domain=new.domain,
        metric=evidence.metric,
        candidates=tuple(ranked[:top]),
        pick=pick,
        answers=(*answers(ranked, evidence, floor), *more.sentences[:1]),
        more_images=more,
        n_considered=len(within),
        equals=len(equals),
        similar=similar,
        level=qualities.level,
        order=qualities.order,
        typical_error=qualities.judged.answer.mae.mean if qualities.judged else None,
        chance_quality=round(chance, 4) if chance else None,
        evidence=(
            *_equals_sentences(equals, pick),
            *more.sentences[1:],
            *_evidence_sentences(evidence, qualities),
        ),
        warnings=(*unlike, *_warnings(evidence, qualities, new, ranked[:top])),
    )


def _candidate(
    rank: int, first: PairQuality, floor: float | None, quality: PairQuality, cost: Cost
) -> Candidate:
    """`equal` where the distance from the first decides nothing."""
    equal = rank == 1 or first.rank_by - quality.rank_by <= first.noise(quality, floor)
    return Candidate(**dict(quality), rank=rank, equal=equal, cost=cost)


def _nothing_within(limits: Limits, priced: Sequence[tuple[PairQuality, Cost]]) -> str:
    asked = [] if limits.latency_ms is None else [f"{limits.latency_ms:g} ms"]
    asked += [] if limits.parameters is None else [f"{limits.parameters:,} parameters"]
    asked += [] if limits.training_s is None else [f"{limits.training_s:g} s of training"]
    nearest, cost = min(priced, key=lambda item: limits.excess(item[1]))
    latency = "unknown latency" if cost.latency_ms is None else f"{cost.latency_ms:.1f} ms"
    training = "unknown training time" if cost.training_s is None else f"{cost.training_s:.0f} s of training"
    return (
        f"none of the {len(priced)} pairs stays within {' and '.join(asked)}; the nearest possible is "
        f"{nearest.pair.label} with {latency}, {cost.parameters:,} parameters and {training}: raise the limits to that"
    )


def _evidence_sentences(evidence: Evidence, qualities: Qualities) -> tuple[str, ...]:
    """Which runs, which data sets, and how wrong such numbers have been."""
    families = sorted({evidence.families[name] for name in evidence.data_sets})
    shown = ", ".join(families[:NAMED_SETS]) + (" …" if len(families) > NAMED_SETS else "")
    sentences = [
        f"{len(evidence.runs)} runs at epoch {evidence.epoch} on {counted(len(evidence.data_sets), 'data set')} of "
        f"{counted(len(families), 'unrelated origin')} ({shown}), {len(evidence.pairs)} pairs"
    ]
    if qualities.judged:
        answer = qualities.judged.answer
        missed = "" if answer.regret_1 is None else f", their first choice missed {answer.regret_1.mean:.3f}"
        sentences.append(
            f"on families left out such answers were off by {answer.mae.mean:.3f} on average{missed}"
        )
    return (*sentences, *qualities.reasons, *evidence.left_out)


def _equals_sentences(equals: Sequence[Candidate], pick: Candidate) -> list[str]:
    """The pairs that the evidence cannot tell from the first, and the cheapest of them."""
    if len(equals) < 2:
        return []
    named = ", ".join(c.pair.label for c in equals[1 : 1 + NAMED_EQUALS])
    more = f" and {len(equals) - 1 - NAMED_EQUALS} more" if len(equals) > 1 + NAMED_EQUALS else ""
    return [
        f"{equals[0].pair.label} is not told from {named}{more} by this evidence; "
        f"the cheapest of them (latency × training time) is {pick.pair.label}"
    ]


def _warnings(
    evidence: Evidence, qualities: Qualities, new: DataSetFacts, candidates: Sequence[Candidate]
) -> list[str]:
    """Everything that makes the evidence thin, the gravest first; empty where nothing does."""
    families = {evidence.families[name] for name in evidence.data_sets}
    domains = {run.data_set.domain for run in evidence.runs}
    width = next((c.high - c.low for c in candidates if c.basis != "measured"), None)
    thin = width is not None and len(families) < FEWEST_FAMILIES
    warnings = [
        (
            evidence.random_weights,
            "RANDOM WEIGHTS: the runs behind these numbers had no pretrained weights, they say nothing about pretrained networks",
        ),
        (
            evidence.procedural,
            "every known data set is procedural (drawn by a program): nothing here was learnt from real images",
        ),
        (
            new.domain not in {*domains, "unknown"},
            f"no run is from the domain {new.domain}: the numbers come from {', '.join(sorted(domains))}",
        ),
        (
            thin,
            f"thin evidence: {counted(len(families), 'unrelated data set')}, {FEWEST_FAMILIES} are needed for a 90 % interval, so none is given",
        ),
        (
            not thin and (width or 0) > WIDE_INTERVAL,
            f"wide interval: the best prediction may be {(width or 0) / 2:.2f} off either way; the order of the pairs is surer than the level",
        ),
        (
            not new.classes,
            "no labels of this task: how many classes there are, how even and how separable, is not known",
        ),
        (
            width is not None and not qualities.complete,
            "models were not asked: they have not been judged on exactly these runs; `scripts/boosting.py evaluate` does that once",
        ),
    ]
    return [sentence for holds, sentence in warnings if holds]


def next_runs(
    evidence: Evidence, new: DataSetFacts, count: int, probed: Sequence[RunRecord] = ()
) -> SuggestedColumns:
    """The `count` pairs to run next on the data set described by `new`, those already measured on it left out: the largest
    expected gain over what is in hand, a second of training.

    A pair whose training time no record knows counts as the dearest. Raises TooLittleDataError with runs on fewer than
    two unrelated data sets.
    """
    from lib.performance_prediction.boosting.row_model import RowModel
    from lib.performance_prediction.rows.suggest import suggest

    fitted = RowModel().fit(evidence.without(evidence.own_families(new)))
    measured = measured_pairs(evidence, new, probed)
    values = fitted.row({pair: Known.of(m.cell) for pair, m in measured.items()})
    book = CostBook(evidence)
    times = [book.cost(pair, new).training_s for pair in fitted.pairs]
    dearest = max([t for t in times if t is not None], default=1.0)
    costs = np.array([max(dearest if t is None else t, 1e-3) for t in times])
    return suggest(fitted.model, values, costs, count, fitted.line(new))
