"""What `boosting.py evaluate` computes: every predictor on unseen data sets, CatBoost's ablations, the verdict."""

from __future__ import annotations

import lib.performance_prediction.boosting.booster
import lib.performance_prediction.boosting.rivals
import lib.performance_prediction.boosting.row_model  # noqa: F401  the three register their predictors
from lib.performance_prediction.boosting.ablation import Ablation, ablate
from lib.performance_prediction.boosting.booster import BoosterSetting
from lib.performance_prediction.boosting.contract import CATBOOST_PROBED, SET_PREDICTORS, Facts
from lib.performance_prediction.boosting.evidence import Evidence
from lib.performance_prediction.boosting.judgement import Judgement, judge
from lib.performance_prediction.boosting.leave_set_out import OnStep, leave_families_out


def evaluate(
    evidence: Evidence,
    facts: Facts,
    seed: int = 0,
    ablated: BoosterSetting | None = None,
    on_step: OnStep | None = None,
) -> Judgement:
    """Leaves each family out once for all predictors, then for CatBoost of the setting `ablated` without each feature group.

    `on_step(family)` is called before each family; without `ablated` there is no ablation. Raises TooLittleDataError with fewer than three families with meta-features.
    """
    probed = any(facts[name].landmarks for name in evidence.data_sets if name in facts)
    names = [name for name in SET_PREDICTORS.names() if probed or name != CATBOOST_PROBED]
    predictors = {name: SET_PREDICTORS[name]() for name in names}
    left_out = leave_families_out(evidence, facts, predictors, seed, on_step)
    ablation = Ablation((), ())
    if ablated:
        ablation = ablate(evidence, facts, ablated, seed, on_step)
    return judge(evidence, left_out, names, ablation.lines, ablation.skipped)
