"""A recommendation: measured, completed and predicted told apart, costs scaled, limits kept, doubts spoken."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from lib.errors import TooLittleDataError
from lib.performance_prediction.boosting.evidence import Evidence, Pair, gather_evidence
from lib.performance_prediction.boosting.judgement import ScoreLine, load_judgement, save_judgement
from lib.performance_prediction.boosting.rival_judgement import judge_rivals
from lib.recommendation.answer import Recommendation
from lib.recommendation.costs import CostBook
from lib.recommendation.measured import measured_pairs
from lib.recommendation.recommend import Limits, recommend
from lib.records import DataSetFacts, RunRecord
from tests.performance_prediction.synthetic_zoo import (
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
    return recommend(gather_evidence(runs), facts, new, folder, **options)  # type: ignore[arg-type]


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


def test_the_predictor_is_the_one_that_left_out_sets_favour(tmp_path: Path) -> None:
    evidence = gather_evidence(RUNS)
    given = recommend(evidence, FACTS, NEW, tmp_path)
    assert given.predictor == judge_rivals(evidence, FACTS).used
    assert any("CatBoost was not asked" in w for w in given.warnings)


def test_catboost_answers_where_the_saved_judgement_of_these_runs_prefers_it(tmp_path: Path) -> None:
    evidence = gather_evidence(RUNS)
    _prefer_catboost(evidence, tmp_path)
    assert load_judgement(tmp_path, evidence) is not None
    assert recommend(evidence, FACTS, NEW, tmp_path).predictor == "catboost"
    more = gather_evidence([*RUNS, finished_run(data_set_info("set0"), "resnet18", "linear", 0.1, seed=7)])
    assert recommend(more, FACTS, NEW, tmp_path).predictor != "catboost"


def test_catboost_does_not_answer_for_images_without_labels(tmp_path: Path) -> None:
    evidence = gather_evidence(RUNS)
    _prefer_catboost(evidence, tmp_path)
    given = recommend(evidence, FACTS, NEW.model_copy(update={"classes": ()}), tmp_path)
    assert given.predictor == "additive"
    assert all(c.low is not None and c.low <= c.quality <= c.high for c in given.candidates)


def _prefer_catboost(evidence: Evidence, folder: Path) -> None:
    judgement = judge_rivals(evidence, FACTS)
    own = ScoreLine(
        name="catboost",
        mae=0.001,
        spearman=1.0,
        regret_1=0.0,
        regret_3=0.0,
        coverage=None,
        width=None,
        by_set={},
    )
    cells = tuple(
        cell.model_copy(update={"predicted": {**cell.predicted, "catboost": cell.truth}})
        for cell in judgement.cells
    )
    preferred = judgement.model_copy(
        update={"scores": (*judgement.scores, own), "used": "catboost", "cells": cells}
    )
    save_judgement(preferred, folder, None)


def test_the_interval_of_a_measured_pair_covers_further_seeds() -> None:
    """Seeds vary by .02 and 120 test images by about .036: one more run falls inside nine times of ten."""
    rng = np.random.default_rng(0)
    info = data_set_info("x")
    hits = []
    for _ in range(200):
        true = 0.8
        draws = [float(rng.binomial(120, np.clip(rng.normal(true, 0.02), 0, 1)) / 120) for _ in range(4)]
        evidence = gather_evidence(
            [finished_run(info, "resnet18", "linear", q, s) for s, q in enumerate(draws[:3])]
        )
        (own,) = measured_pairs(evidence, facts_of(info, 0.5)).values()
        hits.append(own.low <= draws[3] <= own.high)
    assert np.mean(hits) >= 0.88
