"""Left-out data sets: no relative is ever seen, scores are what they are called, level and order are chosen, intervals cover."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from lib.errors import TooLittleDataError
from lib.performance_prediction.boosting.cells import PROBE_PAIRS, Pair
from lib.performance_prediction.boosting.contract import (
    FittedSetPredictor,
    Floats,
    KnownCells,
    SetPredictor,
)
from lib.performance_prediction.boosting.evidence import Evidence, gather_evidence
from lib.performance_prediction.boosting.judgement import Judgement, judge
from lib.performance_prediction.boosting.leave_set_out import (
    LeftOutSet,
    leave_families_out,
    regret,
    spearman,
)
from lib.performance_prediction.boosting.scores import (
    ANSWER,
    FamilyResiduals,
    bootstrap,
    difference,
    floor_by_family,
    mae_by_family,
    regret_by_family,
    score_line,
    simplest_of_best,
    with_answer,
)
from lib.records import DataSetFacts
from tests.performance_prediction.synthetic_zoo import data_set_info, facts_of, finished_run, zoo_runs

RUNS, FACTS = zoo_runs(4, seeds=1, derived=True)
EVIDENCE = gather_evidence(RUNS, facts=FACTS)


class Spy(SetPredictor, FittedSetPredictor):
    """Remembers what it was shown."""

    regimes = ("unseen", "probed")

    def __init__(self) -> None:
        self.seen: list[set[str]] = []
        self.told: list[set[Pair]] = []

    def fit(self, evidence: Evidence, seed: int = 0) -> FittedSetPredictor:
        self.seen.append({*evidence.data_sets, *evidence.facts})
        return self

    def predict(self, facts: DataSetFacts, pairs: Sequence[Pair], known: KnownCells) -> Floats:
        assert facts.name not in self.seen[-1]
        self.told.append(set(known))
        return np.linspace(0, 1, len(pairs))


def test_relatives_of_a_left_out_set_are_never_seen() -> None:
    spy = Spy()
    left_out = leave_families_out(EVIDENCE, {"spy": spy}, ("unseen",))["unseen"]
    assert len(spy.seen) == 4
    for seen in spy.seen:
        (missing,) = {"set0", "set1", "set2", "set3"} - seen
        assert f"{missing}@train10" not in seen
    assert {entry.data_set for entry in left_out} == set(EVIDENCE.data_sets)


def test_probed_sets_reveal_the_cells_of_the_probe_and_nothing_else() -> None:
    spy = Spy()
    left_out = leave_families_out(EVIDENCE, {"spy": spy}, ("probed",))["probed"]
    shown = set(PROBE_PAIRS) & set(EVIDENCE.pairs)
    assert all(told == shown for told in spy.told)
    for entry in left_out:
        assert {p for p, r in zip(entry.pairs, entry.revealed, strict=True) if r} == shown
        assert (entry.predicted["spy"] == entry.truth)[entry.revealed].all()


def test_fewer_than_three_families_is_too_little() -> None:
    runs, facts = zoo_runs(2, seeds=1, derived=True)
    with pytest.raises(TooLittleDataError, match="at least 3 unrelated data sets"):
        leave_families_out(gather_evidence(runs, facts=facts), {"spy": Spy()})


def test_families_weigh_the_same_in_the_scores() -> None:
    left_out = leave_families_out(EVIDENCE, {"spy": Spy()})["unseen"]
    line = score_line(left_out, "spy")
    by_family = [
        np.mean([np.abs(e.predicted["spy"] - e.truth).mean() for e in left_out if e.family == family])
        for family in ("set0", "set1", "set2", "set3")
    ]
    assert line.mae.mean == pytest.approx(np.mean(by_family), abs=1e-5)
    assert line.mae.low <= line.mae.mean <= line.mae.high
    assert line.coverage is None  # four families cannot support a 90 % interval


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


def noisy_sets(
    noise: float, n_sets: int = 40, n_pairs: int = 12, n_folds: int = 4, gap: float = 0.0
) -> list[LeftOutSet]:
    """Pairs truly `gap` apart, each fold measured with independent noise."""
    rng = np.random.default_rng(0)
    pairs = [Pair("b", f"h{i:02}") for i in range(n_pairs)]
    runs, facts = [], {}
    for i in range(n_sets):
        info = data_set_info(f"s{i}")
        facts[info.name] = facts_of(info, 0.5)
        for rank, pair in enumerate(pairs):
            folds = 0.5 + gap * rank + noise * rng.normal(size=n_folds)
            runs.append(finished_run(info, *pair, float(folds.mean()), folds=folds.tolist()))
    evidence = gather_evidence(runs, facts=facts)
    return leave_families_out(evidence, {"spy": Spy()}, ("unseen",))["unseen"]


def test_the_noise_floor_is_the_expected_maximum_of_the_noise() -> None:
    """Twelve equal pairs: the best of half of four folds lies 1.629 standard errors of that half above the mean."""
    floor = bootstrap(floor_by_family(noisy_sets(0.04)))
    expected = 1.6292 * 0.04 / np.sqrt(2)  # mean of the largest of 12 standard normals
    assert floor.low <= expected <= floor.high
    assert floor.mean == pytest.approx(expected, rel=0.15)
    blind = bootstrap(regret_by_family(noisy_sets(0.04), "spy"))
    assert blind.mean == pytest.approx(floor.mean, rel=0.2)  # nothing can be chosen better than blindly
    assert bootstrap(floor_by_family(noisy_sets(0.0, 4, gap=0.01))).mean == 0


def test_without_folds_there_is_no_floor_and_it_is_said() -> None:
    runs = [run.model_copy(update={"folds": run.folds[:1]}) for run in RUNS]
    judged = judge(gather_evidence(runs, facts=FACTS), quick=True).regimes["unseen"]
    assert judged.floor is None
    assert any("no noise floor" in reason for reason in judged.reasons)


def test_bootstrap_intervals_are_as_wide_as_the_standard_error_says_and_seeded() -> None:
    values = dict(
        zip(map(str, range(60)), np.random.default_rng(1).normal(0.2, 0.1, 60).tolist(), strict=True)
    )
    interval = bootstrap(values)
    numbers = np.array(list(values.values()))
    assert interval.error == pytest.approx(numbers.std() / np.sqrt(60), rel=0.05)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * interval.error, rel=0.08)
    assert bootstrap(dict(reversed(values.items()))) == interval


def test_a_verdict_needs_an_interval_without_zero() -> None:
    rng = np.random.default_rng(0)
    rival = {str(i): 0.1 + 0.05 * rng.normal() for i in range(20)}
    assert difference({k: v - 0.01 for k, v in rival.items()}, rival).verdict == "better"
    assert difference({k: v + 0.01 for k, v in rival.items()}, rival).verdict == "worse"
    noisy = {k: v + 0.05 * rng.normal() for k, v in rival.items()}
    assert difference(noisy, rival).verdict == "cannot be told apart"


def test_of_predictors_within_noise_the_simplest_answers() -> None:
    rng = np.random.default_rng(0)
    plain = {str(i): float(rng.uniform(0.05, 0.1)) for i in range(20)}
    near = {k: v - 0.001 + 0.02 * rng.normal() for k, v in plain.items()}
    far = {k: v - 0.03 for k, v in plain.items()}
    simplicity = {"plain": 1, "near": 5, "far": 9}
    assert simplest_of_best({"plain": plain, "near": near}, simplicity) == "plain"
    assert simplest_of_best({"plain": plain, "near": near, "far": far}, simplicity) == "far"


def test_the_answer_has_the_level_of_one_and_the_order_of_the_other() -> None:
    left_out = leave_families_out(EVIDENCE, {"spy": Spy()}, ("unseen",))["unseen"]
    flat = [
        LeftOutSet(**{**vars(e), "predicted": {**e.predicted, "flat": np.full(len(e.pairs), 0.6)},
                      "halved": {**e.halved, "flat": np.full(e.judging.shape, 0.6)}})
        for e in left_out
    ]  # fmt: skip
    for entry in with_answer(flat, "flat", "spy"):
        said = entry.predicted[ANSWER]
        assert said.mean() == pytest.approx(0.6, abs=0.02)  # but for what was clipped at 1
        assert (np.argsort(said, kind="stable") == np.argsort(entry.predicted["spy"])).all()


def test_order_and_level_are_judged_apart() -> None:
    """Brightness decides the level, the pairs' order is the same everywhere: looks say the level, averages the order."""
    runs, facts = zoo_runs(8, seeds=1)
    judgement = judge(gather_evidence(runs, facts=facts), quick=True)
    assert judgement.regimes["unseen"].order == "additive"
    assert judgement.regimes["probed"].answer.mae.mean < 0.02
    assert judgement.regimes["unseen"].level == "nearest_set"
    assert not judgement.complete


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


def test_a_saved_judgement_is_used_only_for_the_evidence_it_was_made_from(tmp_path: Path) -> None:
    judgement = judge(EVIDENCE, quick=True, regimes=("unseen",))
    assert Judgement.load(tmp_path, EVIDENCE) is None
    path = judgement.save(tmp_path, EVIDENCE)
    assert Judgement.load(tmp_path, EVIDENCE) == judgement
    brighter = FACTS["set0"].model_copy(update={"meta_features": {"brightness_mean": 0.0}})
    more = [*RUNS, finished_run(data_set_info("set9"), "resnet18", "linear", 0.5)]
    for stale in (
        gather_evidence(more, facts=FACTS),
        gather_evidence(RUNS, facts={**FACTS, "set0": brighter}),
        gather_evidence(RUNS, facts=FACTS, related=[["set0", "set1"]]),
    ):
        assert Judgement.load(tmp_path, stale) is None
    path.write_text("{torn")
    assert Judgement.load(tmp_path, EVIDENCE) is None


def test_judged_residuals_are_those_of_the_cells_that_were_not_told() -> None:
    judged = judge(EVIDENCE, quick=True).regimes["probed"]
    residuals = judged.residuals()
    hidden = [cell for cell in EVIDENCE.cells if cell.pair not in PROBE_PAIRS]
    assert len(residuals.errors) == len(hidden)
    assert residuals.errors.mean() == pytest.approx(judged.answer.mae.mean, abs=0.01)


def test_error_counts_only_what_was_not_told() -> None:
    left_out = leave_families_out(EVIDENCE, {"spy": Spy()}, ("probed",))["probed"]
    entry = left_out[0]
    own = np.abs(entry.predicted["spy"] - entry.truth)[~entry.revealed].mean()
    assert mae_by_family([entry], "spy") == {entry.family: pytest.approx(own)}
