"""What a recommendation rests on, in sentences, and what speaks against trusting it."""

from __future__ import annotations

from collections.abc import Sequence

from lib.performance_prediction.boosting.evidence import Evidence
from lib.performance_prediction.boosting.intervals import FEWEST_FAMILIES
from lib.recommendation.answer import Candidate, counted
from lib.recommendation.qualities import Qualities
from lib.records import DataSetFacts

WIDE_INTERVAL = 0.35
NAMED_SETS = 8
NAMED_EQUALS = 3


def evidence_sentences(evidence: Evidence, qualities: Qualities) -> tuple[str, ...]:
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


def equals_sentences(equals: Sequence[Candidate]) -> list[str]:
    """The pairs that the evidence cannot tell from the first, and the cheapest of them."""
    if len(equals) < 2:
        return []
    named = ", ".join(c.pair.label for c in equals[1 : 1 + NAMED_EQUALS])
    more = f" and {len(equals) - 1 - NAMED_EQUALS} more" if len(equals) > 1 + NAMED_EQUALS else ""
    quickest = min(equals, key=lambda c: (c.cost.latency_ms is None, c.cost.latency_ms or 0.0, c.rank))
    cheapest = f"; the quickest of them is {quickest.pair.label}" if quickest.cost.latency_ms else ""
    return [f"{equals[0].pair.label} is not told from {named}{more} by this evidence{cheapest}"]


def warning_sentences(
    evidence: Evidence, qualities: Qualities, new: DataSetFacts, candidates: Sequence[Candidate]
) -> tuple[str, ...]:
    """Everything that makes the evidence thin, the gravest first; empty where nothing does."""
    families = {evidence.families[name] for name in evidence.data_sets}
    domains = {run.data_set.domain for run in evidence.runs}
    predicted = [c for c in candidates if c.basis != "measured"]
    warnings = []
    if evidence.random_weights:
        warnings.append(
            "RANDOM WEIGHTS: the runs behind these numbers had no pretrained weights, they say nothing about pretrained networks"
        )
    if evidence.procedural:
        warnings.append(
            "every known data set is procedural (drawn by a program): nothing here was learnt from real images"
        )
    if new.domain not in domains and new.domain != "unknown":
        warnings.append(
            f"no run is from the domain {new.domain}: the numbers come from {', '.join(sorted(domains))}"
        )
    if predicted and len(families) < FEWEST_FAMILIES:
        warnings.append(
            f"thin evidence: {counted(len(families), 'unrelated data set')}, {FEWEST_FAMILIES} are needed for a 90 % interval, so none is given"
        )
    elif predicted and predicted[0].high - predicted[0].low > WIDE_INTERVAL:
        width = predicted[0].high - predicted[0].low
        warnings.append(
            f"wide interval: the best prediction may be {width / 2:.2f} off either way; the order of the pairs is surer than the level"
        )
    if not new.classes:
        warnings.append(
            "no labels of this task: how many classes there are, how even and how separable, is not known"
        )
    if predicted and not qualities.complete:
        warnings.append(
            "models were not asked: they have not been judged on exactly these runs; `scripts/boosting.py evaluate` does that once"
        )
    return tuple(warnings)
