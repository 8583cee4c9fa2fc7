"""What each group of features is worth: CatBoost judged again without it."""

from __future__ import annotations

from dataclasses import replace

from lib.performance_prediction.boosting.booster import BoosterSetting, CatBoostPredictor
from lib.performance_prediction.boosting.evidence import Evidence
from lib.performance_prediction.boosting.leave_set_out import OnStep, leave_families_out
from lib.performance_prediction.boosting.scores import ScoreLine, score_line

ABLATIONS: dict[str, tuple[str, ...]] = {
    "nothing": (),
    "ALS embeddings": ("embeddings",),
    "data-set features": ("data_set",),
    "text feature": ("text",),
}


def ablate(
    evidence: Evidence, setting: BoosterSetting, seed: int = 0, on_step: OnStep | None = None
) -> tuple[tuple[ScoreLine, ...], tuple[str, ...]]:
    """CatBoost of one setting, every group looked at, then without one group of features at a time: a score line each, and a
    sentence for each that could not be left out."""
    described = any(entry.description for entry in evidence.facts.values())
    made = {name: groups for name, groups in ABLATIONS.items() if described or "text" not in groups}
    predictors = {
        name: CatBoostPredictor((replace(setting, leave_out=("known", *groups)),))
        for name, groups in made.items()
    }
    left_out = leave_families_out(evidence, predictors, ("unseen",), seed, on_step)["unseen"]
    skipped = () if described else ("text feature not left out: no data set has a description",)
    return tuple(score_line(left_out, name) for name in made), skipped
