"""A recommendation: measured, completed and predicted told apart, costs scaled, limits kept, doubts spoken."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from lib.errors import TooLittleDataError
from lib.performance_prediction.boosting.cells import PROBE_PAIRS, Pair, pair_of
from lib.performance_prediction.boosting.evidence import Evidence, gather_evidence
from lib.performance_prediction.boosting.judgement import judge
from lib.recommendation.answer import ALIKE, Recommendation, cheapest
from lib.recommendation.costs import CostBook
from lib.recommendation.qualities import measured_pairs
from lib.recommendation.recommend import Limits, recommend
from lib.records import DataSetFacts, DataSetInfo, RunRecord
from tests.performance_prediction.synthetic_zoo import (
    BACKBONES,
    data_set_info,
    facts_of,
    finished_run,
    incompatible_run,
    zoo_runs,
)

RUNS, FACTS = zoo_runs(10, seeds=1)
NEW = facts_of(data_set_info("new"), 0.5)


def answer(
    runs: list[RunRecord],
    facts: Mapping[str, DataSetFacts],
    new: DataSetFacts,
    folder: Path,
    **options: object,
) -> Recommendation:
    return recommend(gather_evidence(runs, facts=facts), new, folder, **options)  # type: ignore[arg-type]


def test_pairs_are_ranked_by_quality_with_an_interval_around_each(tmp_path: Path) -> None:
    given = answer(RUNS, FACTS, NEW, tmp_path, top=100)
    qualities = [c.quality for c in given.candidates]
    assert qualities == sorted(qualities, reverse=True)
    assert all(0 <= c.low <= c.quality <= c.high <= 1 for c in given.candidates)
    assert {c.basis for c in given.candidates} == {"predicted"}
    assert given.candidates[0].backbone == "resnet50"


def test_a_data_set_with_runs_shows_what_was_measured_on_it(tmp_path: Path) -> None:
    same = FACTS["set3"].model_copy(update={"name": "the same folder under another name"})
    given = answer(RUNS, FACTS, same, tmp_path, top=100)
    truth = {(r.backbone.name, r.head.name): r.quality() for r in RUNS if r.data_set.name == "set3"}
    assert len(given.candidates) == 15
    assert {c.basis for c in given.candidates} == {"measured"}
    for candidate in given.candidates:
        assert candidate.quality == pytest.approx(truth[candidate.backbone, candidate.head], abs=1e-4)
    assert "set3" not in [entry.name for entry in given.similar]


def test_a_few_measured_pairs_lift_the_prediction_of_the_others(tmp_path: Path) -> None:
    info = data_set_info("new")
    own = [finished_run(info, "resnet50", head, 0.99) for head in ("linear", "mlp", "knn")]
    plain = answer(RUNS, FACTS, NEW, tmp_path, top=100)
    informed = answer([*RUNS, *own], FACTS, NEW, tmp_path, top=100)

    def quality_of_vit(given: Recommendation) -> float:
        return next(
            c.quality for c in given.candidates if (c.backbone, c.head) == ("vit_tiny_patch16_224", "mlp")
        )

    assert quality_of_vit(informed) > quality_of_vit(plain)


def test_a_pair_never_run_anywhere_is_completed_and_said_to_be(tmp_path: Path) -> None:
    hole = Pair("resnet50", "mlp")
    runs = [r for r in RUNS if (r.backbone.name, r.head.name) != hole]
    given = answer(runs, FACTS, NEW, tmp_path, top=100)
    (completed,) = [c for c in given.candidates if c.basis == "completed"]
    assert (completed.backbone, completed.head) == hole
    truth = next(
        c for c in answer(RUNS, FACTS, NEW, tmp_path, top=100).candidates if (c.backbone, c.head) == hole
    )
    assert completed.quality == pytest.approx(truth.quality, abs=0.03)
    assert completed.high - completed.low > truth.high - truth.low


def test_an_incompatible_pair_is_never_recommended(tmp_path: Path) -> None:
    hole = ("handcrafted", "mlp")
    runs = [r for r in RUNS if (r.backbone.name, r.head.name) != hole]
    runs.append(incompatible_run(data_set_info("set0"), *hole, "no gradient"))
    given = answer(runs, FACTS, NEW, tmp_path, top=100)
    assert hole not in [(c.backbone, c.head) for c in given.candidates]


def test_limits_are_kept(tmp_path: Path) -> None:
    given = answer(RUNS, FACTS, NEW, tmp_path, top=100, limits=Limits(latency_ms=4.5, parameters=4_000_000))
    assert given.candidates
    assert all(c.cost.latency_ms <= 4.5 and c.cost.parameters <= 4_000_000 for c in given.candidates)  # type: ignore[operator]


def test_limits_that_exclude_every_pair_are_answered_with_the_nearest_possible(tmp_path: Path) -> None:
    with pytest.raises(
        TooLittleDataError, match=r"within 0\.5 ms; the nearest possible is handcrafted × \w+ with 1\.0 ms"
    ):
        answer(RUNS, FACTS, NEW, tmp_path, limits=Limits(latency_ms=0.5))


def test_training_time_grows_with_the_images() -> None:
    book = CostBook(gather_evidence(RUNS))
    pair = Pair("resnet18", "linear")
    small, large = (
        book.cost(pair, facts_of(data_set_info("x", n_train=n), 0.5)).training_s for n in (400, 4000)
    )
    assert small == pytest.approx(5.0 + 2.0)  # the invented runs took this on as many images
    assert large is not None
    assert large > 5 * small


def test_costs_are_those_of_the_usual_device_never_a_mixture() -> None:
    slow = [
        run.model_copy(
            update={
                "environment": run.environment.model_copy(update={"device": "toaster"}),
                "latency": run.latency.model_copy(update={"batch1_median_ms": 500.0})
                if run.latency
                else None,
                "timing": run.timing.model_copy(update={"training_s": 1e6}),
                "seed": 9,
            }
        )
        for run in RUNS[:60]
    ]
    pair = Pair("resnet18", "linear")
    assert CostBook(gather_evidence([*RUNS, *slow])).cost(pair, NEW) == CostBook(gather_evidence(RUNS)).cost(
        pair, NEW
    )


def test_cost_of_a_pair_never_run_comes_from_its_backbone_and_its_head() -> None:
    pair = Pair("resnet50", "mlp")
    runs = [r for r in RUNS if (r.backbone.name, r.head.name) != pair]
    cost = CostBook(gather_evidence(runs)).cost(pair, NEW)
    assert cost.parameters == 3_000_000 + 1000
    assert cost.latency_ms == pytest.approx(4.0)


def test_images_unlike_all_known_sets_are_warned_about(tmp_path: Path) -> None:
    odd = NEW.model_copy(
        update={"meta_features": {**NEW.meta_features, "brightness_mean": 50.0, "n_images": 1e6}}
    )
    given = answer(RUNS, FACTS, odd, tmp_path)
    assert any("unlike every known data set" in w and "brightness mean" in w for w in given.warnings)
    usual = answer(RUNS, FACTS, NEW, tmp_path)
    assert not any("unlike" in w for w in usual.warnings)


def test_a_domain_never_seen_is_warned_about(tmp_path: Path) -> None:
    given = answer(RUNS, FACTS, NEW.model_copy(update={"domain": "astronomy"}), tmp_path)
    assert any("domain astronomy" in w for w in given.warnings)


def test_few_data_sets_give_no_interval_and_say_so(tmp_path: Path) -> None:
    runs, facts = zoo_runs(4, seeds=1)
    given = answer(runs, facts, NEW, tmp_path)
    assert any("thin evidence: 4 unrelated data sets" in w for w in given.warnings)
    assert all((c.low, c.high) == (0, 1) for c in given.candidates)


def test_one_data_set_is_enough_for_an_answer_with_every_doubt_spoken(tmp_path: Path) -> None:
    runs, facts = zoo_runs(1, seeds=1)
    given = answer(runs, facts, NEW, tmp_path)
    assert given.candidates
    assert given.typical_error is None
    assert any("too few unrelated data sets" in sentence for sentence in given.evidence)


def test_random_weights_and_procedural_sets_are_shouted_about(tmp_path: Path) -> None:
    info = data_set_info("strips", procedural=True)
    runs = [finished_run(info, b, "linear", 0.6, weights_origin="random") for b in ("resnet18", "resnet50")]
    given = answer(runs, {}, NEW, tmp_path)
    assert given.warnings[0].startswith("RANDOM WEIGHTS")
    assert any("procedural" in w for w in given.warnings)


def test_unlabelled_images_get_an_answer_and_a_word_about_it(tmp_path: Path) -> None:
    bare = NEW.model_copy(update={"classes": (), "meta_features": {"n_images": 50.0, "brightness_mean": 0.4}})
    given = answer(RUNS, FACTS, bare, tmp_path)
    assert given.candidates
    assert any("no labels" in w for w in given.warnings)


def test_level_and_order_are_those_that_left_out_sets_favour(tmp_path: Path) -> None:
    evidence = gather_evidence(RUNS, facts=FACTS)
    given = recommend(evidence, NEW, tmp_path)
    judged = judge(evidence, quick=True).regimes["unseen"]
    assert (given.level, given.order) == (judged.level, judged.order)
    assert any("models were not asked" in w for w in given.warnings)


def test_a_model_answers_where_the_saved_judgement_of_this_evidence_prefers_it(tmp_path: Path) -> None:
    evidence = gather_evidence(RUNS, facts=FACTS)
    _prefer_catboost(evidence, tmp_path)
    assert recommend(evidence, NEW, tmp_path).level == "catboost"
    more = [*RUNS, finished_run(data_set_info("set0"), "resnet18", "linear", 0.1, seed=7)]
    assert answer(more, FACTS, NEW, tmp_path).level != "catboost"
    unlabelled = recommend(evidence, NEW.model_copy(update={"classes": ()}), tmp_path)
    assert (unlabelled.level, unlabelled.order) == ("additive", "additive")


def _prefer_catboost(evidence: Evidence, folder: Path) -> None:
    judgement = judge(evidence, quick=True)
    unseen = judgement.regimes["unseen"].model_copy(update={"level": "catboost"})
    regimes = {**judgement.regimes, "unseen": unseen}
    judgement.model_copy(update={"regimes": regimes}).save(folder, evidence)


def test_chance_is_said_and_never_recommended(tmp_path: Path) -> None:
    even = NEW.model_copy(update={"meta_features": {**NEW.meta_features, "majority_share": 0.4}})
    given = answer(RUNS, FACTS, even, tmp_path, top=100)
    assert any(run.head.name == "naive" for run in RUNS)
    assert all(c.head != "naive" for c in given.candidates)
    assert given.chance_quality == pytest.approx(0.4)


def test_test_parts_do_not_choose_among_measured_pairs(tmp_path: Path) -> None:
    """Every pair is measured on this set; permuting the test qualities moves the numbers, never the order."""
    rng = np.random.default_rng(0)
    info, pairs = data_set_info("set3"), [(b, h) for b in BACKBONES for h in ("knn", "linear", "mlp")]
    chosen_by, others = rng.uniform(0.5, 0.9, len(pairs)), [r for r in RUNS if r.data_set.name != "set3"]
    orders = []
    for _ in range(3):
        tested = rng.permutation(np.linspace(0.5, 0.9, len(pairs)))
        own = [
            finished_run(info, *pair, float(t), validation=float(v))
            for pair, t, v in zip(pairs, tested, chosen_by, strict=True)
        ]
        given = answer([*others, *own], FACTS, FACTS["set3"], tmp_path, top=100)
        orders.append([(c.backbone, c.head) for c in given.candidates])
    assert orders[0] == orders[1] == orders[2]
    assert orders[0][0] == pairs[int(np.argmax(chosen_by))]


def handcrafted_wins_on_some() -> tuple[list[RunRecord], dict[str, DataSetFacts]]:
    """Networks win on average; on a third of the sets, which look like the others, handcrafted features do."""
    rng = np.random.default_rng(0)
    runs, facts = [], {}
    for i in range(12):
        info = data_set_info(f"s{i}")
        facts[info.name] = facts_of(info, float(rng.uniform()))
        runs += _runs_where(info, handcrafted=0.9 if i % 3 == 0 else 0.5, network=0.7, rng=rng)
    return runs, facts


def _runs_where(
    info: DataSetInfo, handcrafted: float, network: float, rng: np.random.Generator
) -> list[RunRecord]:
    return [
        finished_run(
            info, b, h, (handcrafted if b == "handcrafted" else network) + plus + rng.normal(0, 0.005)
        )
        for b in BACKBONES
        for h, plus in (("knn", -0.02), ("linear", 0.0), ("catboost", 0.02), ("mlp", 0.03))
    ]


def test_a_probe_that_sees_handcrafted_features_win_moves_the_order(tmp_path: Path) -> None:
    runs, facts = handcrafted_wins_on_some()
    info = data_set_info("new")
    rng = np.random.default_rng(1)
    probed = {
        high: [r for r in _runs_where(info, high, 0.7, rng) if pair_of(r) in PROBE_PAIRS]
        for high in (0.5, 0.9)
    }
    blind = answer(runs, facts, NEW, tmp_path)
    assert blind.candidates[0].backbone != "handcrafted"
    seen = answer(runs, facts, NEW, tmp_path, probed=probed[0.9], top=100)
    assert seen.candidates[0].backbone == "handcrafted"
    measured = {c.pair for c in seen.candidates if c.basis == "measured"}
    assert measured == set(PROBE_PAIRS)
    assert all(c.low < c.quality < c.high for c in seen.candidates)
    rank = {c.pair: c.rank for c in seen.candidates}
    assert (
        rank[Pair("handcrafted", "mlp")] < rank[Pair("resnet18", "mlp")]
    )  # never probed, but of the same backbone
    usual = answer(runs, facts, NEW, tmp_path, probed=probed[0.5])
    assert usual.candidates[0].backbone != "handcrafted"


def test_pairs_within_noise_of_the_first_are_marked_and_the_quickest_is_named(tmp_path: Path) -> None:
    info = data_set_info("set3")
    own = [
        finished_run(info, "resnet50", "mlp", 0.80, standard_error=0.02),
        finished_run(info, "resnet18", "mlp", 0.79, standard_error=0.02),
        finished_run(info, "handcrafted", "mlp", 0.60, standard_error=0.02),
    ]
    given = answer(own, {}, FACTS["set3"], tmp_path)
    assert [c.equal for c in given.candidates] == [True, True, False]
    assert given.equals == 2
    # Not half as quick again: no reason to take the second.
    assert given.evidence[0].endswith("the cheapest of them (latency × training time) is resnet50 × mlp")
    first, second, *_ = given.candidates
    quick = second.model_copy(update={"cost": second.cost.model_copy(update={"latency_ms": 1.0})})
    assert cheapest([first, second]) == first
    assert cheapest([first, quick]) == quick


def test_the_interval_of_a_measured_pair_covers_further_seeds() -> None:
    """Seeds vary by .02 and 120 test images by about .036: one more run falls inside nine times of ten."""
    rng = np.random.default_rng(0)
    info = data_set_info("x")
    hits = []
    for _ in range(200):
        true = 0.8
        draws = [float(rng.binomial(120, np.clip(rng.normal(true, 0.02), 0, 1)) / 120) for _ in range(4)]
        evidence = gather_evidence(
            [
                finished_run(info, "resnet18", "linear", q, s, standard_error=float(np.sqrt(0.16 / 120)))
                for s, q in enumerate(draws[:3])
            ]
        )
        (own,) = measured_pairs(evidence, facts_of(info, 0.5)).values()
        hits.append(own.low <= draws[3] <= own.high)
    assert np.mean(hits) >= 0.88


def test_training_time_limits_and_the_pick_is_the_cheapest_of_the_equals(tmp_path: Path) -> None:
    given = answer(RUNS, FACTS, NEW, tmp_path, top=100)
    equals = [c for c in given.candidates if c.equal]
    products = {c.pair: (c.cost.latency_ms or 0) * (c.cost.training_s or 0) for c in equals}
    alike = [pair for pair, product in products.items() if product <= ALIKE * min(products.values())]
    assert given.pick.pair == alike[0]
    times = sorted(c.cost.training_s or 0 for c in given.candidates)
    limited = answer(RUNS, FACTS, NEW, tmp_path, top=100, limits=Limits(training_s=times[0]))
    assert all((c.cost.training_s or 0) <= times[0] for c in limited.candidates)
    with pytest.raises(TooLittleDataError, match="s of training"):
        answer(RUNS, FACTS, NEW, tmp_path, limits=Limits(training_s=times[0] / 2))


def test_three_questions_are_answered_with_what_records_say(tmp_path: Path) -> None:
    runs = [
        r
        for r in RUNS
        if r.head.name == "linear" and r.backbone.name == "resnet50" and r.data_set.name != "set0"
    ]
    tuned = [
        r.model_copy(update={"recipe": r.recipe.model_copy(update={"finetune": True}), "key": r.key + "t"})
        for r in (
            finished_run(run.data_set, "resnet50", "linear", min((run.quality() or 0) + 0.05, 1.0))
            for run in runs
        )
    ]
    training, network, head, more = answer([*RUNS, *tuned], FACTS, NEW, tmp_path).answers
    assert training.startswith("Frozen or fine-tuned? fine-tuned")
    assert "on 9 unrelated sets with the same partner fine-tuned was +0.0" in training
    assert network.startswith("Which network? ")
    assert "on 10 unrelated sets" in head
    assert "no records of views" in more
    assert "no fine-tuned run" in answer(RUNS, FACTS, NEW, tmp_path).answers[0]


def test_a_backbone_without_weights_is_never_fine_tuned(tmp_path: Path) -> None:
    run = next(r for r in RUNS if r.backbone.name == "resnet50" and r.head.name == "linear")
    tuned = run.model_copy(update={"recipe": run.recipe.model_copy(update={"finetune": True}), "key": "t"})
    given = answer([*RUNS, tuned], FACTS, NEW, tmp_path, top=100)
    columns = {c.backbone for c in given.candidates if c.head == "linear (fine-tuned)"}
    assert "handcrafted" not in columns
    assert {"resnet50", "resnet18"} <= columns
