"""The trivial rivals judged on left-out data sets, quick enough to be done whenever it is needed."""

from __future__ import annotations

import lib.performance_prediction.boosting.rivals  # noqa: F401  registers the rivals
from lib.performance_prediction.boosting.contract import SET_PREDICTORS, Facts
from lib.performance_prediction.boosting.evidence import Evidence
from lib.performance_prediction.boosting.judgement import Judgement, judge
from lib.performance_prediction.boosting.leave_set_out import leave_families_out


def judge_rivals(evidence: Evidence, facts: Facts, seed: int = 0) -> Judgement:
    """All trivial predictors; raises TooLittleDataError with fewer than three families."""
    names = [name for name in SET_PREDICTORS.names() if SET_PREDICTORS[name].trivial]
    left_out = leave_families_out(evidence, facts, {n: SET_PREDICTORS[n]() for n in names}, seed)
    return judge(evidence, left_out, names)
