"""Left-out data sets: no relative is ever seen, scores are what they are called, intervals cover."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import spearmanr

from lib.errors import TooLittleDataError
from lib.performance_prediction.boosting.contract import Facts, FittedSetPredictor, Floats, SetPredictor
from lib.performance_prediction.boosting.evidence import Evidence, Pair, gather_evidence
from lib.performance_prediction.boosting.family_intervals import FamilyResiduals
from lib.performance_prediction.boosting.judgement import (
    ScoreLine,
    choose,
    judgement_path,
    load_judgement,
    save_judgement,
)
from lib.performance_prediction.boosting.leave_set_out import (
    leave_families_out,
    regret,
    score_predictor,
    spearman,
)
from lib.performance_prediction.boosting.rival_judgement import judge_rivals
from lib.records import DataSetFacts
from tests.performance_prediction.synthetic_zoo import data_set_info, finished_run, zoo_runs

RUNS, FACTS = zoo_runs(4, seeds=1, derived=True)
EVIDENCE = gather_evidence(RUNS)


class Spy(SetPredictor, FittedSetPredictor):
    """Remembers what it was shown."""

    def __init__(self) -> None:
        self.seen: list[set[str]] = []

    def fit(self, evidence: Evidence, facts: Facts, seed: int = 0) -> FittedSetPredictor:
        self.seen.append(set(evidence.data_sets))
        return self

    def predict(self, facts: DataSetFacts, pairs: Sequence[Pair]) -> Floats:
        assert facts.name not in self.seen[-1]
        return np.linspace(0, 1, len(pairs))


def test_relatives_of_a_left_out_set_are_never_seen() -> None:
    spy = Spy()
    left_out = leave_families_out(EVIDENCE, FACTS, {"spy": spy})
    assert len(spy.seen) == 4
    for family, seen in zip(("set0", "set1", "set2", "set3"), spy.seen, strict=True):
        assert not {family, f"{family}@train10"} & seen
    assert {entry.data_set for entry in left_out} == set(EVIDENCE.data_sets)


def test_fewer_than_three_families_is_too_little() -> None:
    runs, facts = zoo_runs(2, seeds=1, derived=True)
    with pytest.raises(TooLittleDataError, match="at least 3 unrelated data sets"):
        leave_families_out(gather_evidence(runs), facts, {"spy": Spy()})


def test_families_weigh_the_same_in_the_scores() -> None:
    left_out = leave_families_out(EVIDENCE, FACTS, {"spy": Spy()})
    score = score_predictor(left_out, "spy")
    by_family = [
        np.mean([np.abs(e.predicted["spy"] - e.truth).mean() for e in left_out if e.family == family])
        for family in ("set0", "set1", "set2", "set3")
    ]
    assert score.mae == pytest.approx(np.mean(by_family))
    assert score.coverage is None  # four families cannot support a 90 % interval


def test_spearman_agrees_with_scipy_and_is_absent_for_a_constant() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=20).round(1), rng.normal(size=20).round(1)
    assert spearman(a, b) == pytest.approx(spearmanr(a, b).statistic)
    assert spearman(np.ones(3), np.arange(3.0)) is None


def test_regret_is_what_the_recommended_pairs_miss() -> None:
    truth = np.array([0.9, 0.7, 0.8])
    assert regret(np.array([0.1, 0.9, 0.5]), truth, 1) == pytest.approx(0.2)
    assert regret(np.array([0.1, 0.9, 0.5]), truth, 2) == pytest.approx(0.1)
    assert regret(np.ones(3), truth, 1) is None


def test_intervals_cover_a_new_family_as_often_as_they_say() -> None:
    """Families share a shift: cell-wise intervals would cover far less."""
    rng = np.random.default_rng(0)
    pairs = tuple(Pair("b", str(i)) for i in range(8))
    hits, widths = [], []
    for _ in range(300):
        shifts = rng.normal(0, 0.05, size=(21, 1)) + rng.normal(0, 0.01, size=(21, 8))
        known = FamilyResiduals(
            families=tuple(str(i) for i in range(20) for _ in pairs),
            pairs=pairs * 20,
            errors=np.abs(shifts[:20]).ravel(),
        )
        low, high = known.interval(np.full(8, 0.5), pairs)
        hits.append(np.mean((low <= 0.5 + shifts[20]) & (0.5 + shifts[20] <= high)))
        widths.append(np.mean(high - low))
    assert 0.86 <= np.mean(hits) <= 0.93
    assert np.mean(widths) < 0.3


def test_too_few_families_give_the_whole_range_instead_of_a_promise() -> None:
    pair = Pair("b", "h")
    few = FamilyResiduals(("a", "b"), (pair, pair), np.array([0.01, 0.02]))
    low, high = few.interval(np.array([0.5]), [pair])
    assert (low[0], high[0]) == (0, 1)


def test_landmarks_are_used_only_for_folders_that_have_them() -> None:
    lines = [line("additive", 0.05), line("catboost", 0.06), line("catboost_probed", 0.02)]
    assert choose(lines, ["additive"])[0] == "catboost_probed"
    unprobed = [entry for entry in lines if entry.name != "catboost_probed"]
    assert choose(unprobed, ["additive"])[0] == "additive"


def line(name: str, mae: float, regret_1: float | None = 0.01) -> ScoreLine:
    return ScoreLine(
        name=name,
        mae=mae,
        spearman=0.5,
        regret_1=regret_1,
        regret_3=regret_1,
        coverage=None,
        width=None,
        by_set={},
    )


def test_a_model_answers_only_where_it_beats_every_trivial_rival() -> None:
    assert choose([line("additive", 0.05), line("catboost", 0.04)], ["additive"])[0] == "catboost"
    used, reason = choose([line("additive", 0.05), line("catboost", 0.06)], ["additive"])
    assert used == "additive"
    assert "catboost does NOT beat additive" in reason


def test_a_model_nearer_the_truth_but_recommending_worse_pairs_does_not_answer() -> None:
    lines = [line("additive", 0.05, 0.01), line("catboost", 0.04, 0.03)]
    assert choose(lines, ["additive"])[0] == "additive"


def test_of_two_models_that_beat_the_rivals_the_nearer_one_answers() -> None:
    lines = [line("additive", 0.05), line("catboost", 0.04), line("row_model", 0.03)]
    assert choose(lines, ["additive"])[0] == "row_model"


def test_a_predictor_that_does_not_rank_is_never_used() -> None:
    lines = [line("global_mean", 0.01, None), line("additive", 0.05)]
    assert choose(lines, ["global_mean", "additive"])[0] == "additive"


def test_a_saved_judgement_is_used_only_for_the_runs_it_was_made_from(tmp_path) -> None:  # type: ignore[no-untyped-def]
    judgement = judge_rivals(EVIDENCE, FACTS)
    assert load_judgement(tmp_path, EVIDENCE) is None
    save_judgement(judgement, tmp_path, None)
    assert load_judgement(tmp_path, EVIDENCE) == judgement
    more = gather_evidence([*RUNS, finished_run(data_set_info("set9"), "resnet18", "linear", 0.5)])
    assert load_judgement(tmp_path, more) is None
    judgement_path(tmp_path, "classification", None).write_text("{torn")
    assert load_judgement(tmp_path, EVIDENCE) is None


def test_judged_residuals_are_those_of_the_left_out_cells() -> None:
    judgement = judge_rivals(EVIDENCE, FACTS)
    residuals = judgement.residuals("additive")
    assert len(residuals.errors) == len(EVIDENCE.cells)
    assert residuals.errors.mean() == pytest.approx(judgement.score("additive").mae, abs=0.01)
