"""What each group of features is worth: CatBoost judged again without it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lib.performance_prediction.boosting.booster import BoosterSetting, CatBoostPredictor
from lib.performance_prediction.boosting.contract import Facts
from lib.performance_prediction.boosting.evidence import Evidence
from lib.performance_prediction.boosting.judgement import ScoreLine, score_line
from lib.performance_prediction.boosting.leave_set_out import OnStep, leave_families_out, score_predictor

ABLATIONS: dict[str, tuple[str, ...]] = {
    "nothing": (),
    "ALS embeddings": ("embeddings",),
    "data-set features": ("data_set",),
    "text feature": ("text",),
    "landmarks": ("landmarks",),
}


@dataclass(frozen=True)
class Ablation:
    """One score line for each ablation that could be made, and a sentence for each that could not."""

    lines: tuple[ScoreLine, ...]
    skipped: tuple[str, ...]


def ablate(
    evidence: Evidence,
    facts: Facts,
    setting: BoosterSetting,
    seed: int = 0,
    on_step: OnStep | None = None,
) -> Ablation:
    """CatBoost of one setting, every group looked at, without one group of features at a time; the first line leaves nothing out."""
    lines, skipped = [], []
    for name, groups in ABLATIONS.items():
        reason = _nothing_to_leave_out(name, facts, evidence)
        if reason:
            skipped.append(reason)
            continue
        predictor = CatBoostPredictor(leave_out=groups, settings=(replace(setting, leave_out=()),))
        left_out = leave_families_out(evidence, facts, {name: predictor}, seed, on_step)
        lines.append(score_line(name, score_predictor(left_out, name)))
    return Ablation(tuple(lines), tuple(skipped))


def _nothing_to_leave_out(name: str, facts: Facts, evidence: Evidence) -> str | None:
    known = [facts[n] for n in evidence.data_sets if n in facts]
    if name == "landmarks" and not any(entry.landmarks for entry in known):
        return "landmarks not left out: no data set has any recorded, so nothing would change"
    if name == "text feature" and not any(entry.description for entry in known):
        return "text feature not left out: no data set has a description beyond its domain"
    return None
