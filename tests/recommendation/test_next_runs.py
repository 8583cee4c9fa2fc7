"""What to run next: never what has been run, cheap gains first, and an honest distance from the best."""

from __future__ import annotations

import pytest

from lib.performance_prediction.boosting.evidence import gather_evidence
from lib.recommendation.recommend import next_runs
from tests.performance_prediction.synthetic_zoo import data_set_info, facts_of, finished_run, zoo_runs

RUNS, FACTS = zoo_runs(6, seeds=1)
INFO = data_set_info("new")
NEW = facts_of(INFO, 0.5)


def test_runs_are_suggested_for_a_data_set_without_any() -> None:
    plan = next_runs(gather_evidence(RUNS, facts=FACTS), NEW, 3)
    assert len(plan.suggestions) == 3
    assert len({run.column for run in plan.suggestions}) == 3
    assert plan.incumbent is None
    assert all(run.cost > 0 for run in plan.suggestions)


def test_a_measured_pair_is_never_suggested_and_counts_as_in_hand() -> None:
    own = [finished_run(INFO, "resnet50", head, 0.8) for head in ("mlp", "linear")]
    plan = next_runs(gather_evidence([*RUNS, *own], facts=FACTS), NEW, 30)
    assert len(plan.suggestions) == 15 - 2
    assert not {"resnet50 × mlp", "resnet50 × linear"} & {run.column for run in plan.suggestions}
    assert plan.incumbent == pytest.approx(0.8)
    assert plan.regret_after <= plan.regret_before
