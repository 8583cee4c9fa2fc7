"""What a recommendation rests on, in sentences, and what speaks against trusting it."""

from __future__ import annotations

from collections.abc import Sequence

from lib.performance_prediction.boosting.evidence import Evidence
from lib.performance_prediction.boosting.family_intervals import FEWEST_FAMILIES
from lib.recommendation.answer import Candidate
from lib.recommendation.estimates import Estimates
from lib.records import DataSetFacts

WIDE_INTERVAL = 0.35
NAMED_SETS = 8


def evidence_sentences(evidence: Evidence, estimates: Estimates) -> tuple[str, ...]:
    """Which runs, which data sets, and how wrong such numbers have been."""
    families = sorted({evidence.families[name] for name in evidence.data_sets})
    shown = ", ".join(families[:NAMED_SETS]) + (" …" if len(families) > NAMED_SETS else "")
    sentences = [
        f"{len(evidence.runs)} runs at epoch {evidence.epoch} on {_counted(len(evidence.data_sets), 'data set')} of "
        f"{_counted(len(families), 'unrelated origin')} ({shown}), {len(evidence.pairs)} pairs"
    ]
    if estimates.judgement:
        score = estimates.judgement.score(estimates.predictor)
        ranking = (
            "" if score.regret_1 is None else f", its first choice was {score.regret_1:.3f} below the best"
        )
        sentences.append(
            f"on data sets left out, predictions of {estimates.predictor} were wrong by {score.mae:.3f} on average{ranking}"
        )
    sentences.append(estimates.reason)
    return (*sentences, *evidence.left_out)


def warning_sentences(
    evidence: Evidence, estimates: Estimates, new: DataSetFacts, candidates: Sequence[Candidate]
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
            f"thin evidence: {_counted(len(families), 'unrelated data set')}, {FEWEST_FAMILIES} are needed for a 90 % interval, so none is given"
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
    if predicted and estimates.models_not_judged:
        warnings.append(
            "CatBoost was not asked: it has not been judged on exactly these runs; `scripts/boosting.py evaluate` does that once"
        )
    return tuple(warnings)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
