"""Every predictor for unseen data sets keeps its contract, and the trivial ones say what their names say."""

from __future__ import annotations

import numpy as np
import pytest

import lib.performance_prediction.boosting.booster
import lib.performance_prediction.boosting.rivals
import lib.performance_prediction.boosting.row_model  # noqa: F401
from lib.performance_prediction.boosting.contract import SET_PREDICTORS, chance_level, lift, unlift
from lib.performance_prediction.boosting.evidence import Pair, gather_evidence
from lib.performance_prediction.boosting.similarity import feature_space
from tests.performance_prediction.synthetic_zoo import data_set_info, facts_of, finished_run, zoo_runs

RUNS, FACTS = zoo_runs(5, seeds=1, hole_share=0.2)
EVIDENCE = gather_evidence(RUNS)
NEW = facts_of(data_set_info("new"), brightness=0.5)


@pytest.mark.parametrize("name", SET_PREDICTORS.names())
def test_predicts_every_pair_within_zero_and_one_and_the_same_each_time(name: str) -> None:
    first = SET_PREDICTORS[name]().fit(EVIDENCE, FACTS).predict(NEW, EVIDENCE.pairs)
    again = SET_PREDICTORS[name]().fit(EVIDENCE, FACTS).predict(NEW, EVIDENCE.pairs)
    assert first.shape == (len(EVIDENCE.pairs),)
    assert np.all((first >= 0) & (first <= 1))
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("name", SET_PREDICTORS.names())
def test_answers_for_a_pair_never_run_and_a_data_set_without_any_feature(name: str) -> None:
    bare = NEW.model_copy(update={"meta_features": {}})
    fitted = SET_PREDICTORS[name]().fit(EVIDENCE, FACTS)
    assert np.isfinite(fitted.predict(bare, [Pair("never", "run"), EVIDENCE.pairs[0]])).all()


def test_column_mean_is_the_mean_of_the_pair() -> None:
    pair = EVIDENCE.pairs[0]
    mean = np.mean([cell.quality for cell in EVIDENCE.cells if cell.pair == pair])
    fitted = SET_PREDICTORS["column_mean"]().fit(EVIDENCE, FACTS)
    assert fitted.predict(NEW, [pair])[0] == pytest.approx(mean)


def test_nearest_set_repeats_what_was_measured_on_the_most_similar_one() -> None:
    same_looks = FACTS["set2"].model_copy(update={"name": "new"})
    measured = [cell for cell in EVIDENCE.cells if cell.data_set == "set2"]
    fitted = SET_PREDICTORS["nearest_set"]().fit(EVIDENCE, FACTS)
    predicted = fitted.predict(same_looks, [cell.pair for cell in measured])
    assert predicted == pytest.approx([cell.quality for cell in measured])


def test_additive_lift_starts_from_the_share_of_the_largest_class() -> None:
    info = [data_set_info(f"s{i}") for i in range(2)]
    facts = {}
    for entry, share in zip(info, (0.5, 0.9), strict=True):
        plain = facts_of(entry, 0.5)
        facts[entry.name] = plain.model_copy(
            update={"meta_features": {**plain.meta_features, "majority_share": share}}
        )
    runs = [
        finished_run(entry, "resnet18", "linear", float(unlift(0.5, chance_level(facts[entry.name]))))
        for entry in info
    ]
    new = NEW.model_copy(update={"meta_features": {"majority_share": 0.2}})
    fitted = SET_PREDICTORS["additive_lift"]().fit(gather_evidence(runs), facts)
    assert fitted.predict(new, [Pair("resnet18", "linear")])[0] == pytest.approx(0.6)


def test_lift_and_unlift_undo_each_other() -> None:
    quality = np.linspace(0, 1, 7)
    assert unlift(lift(quality, 0.3), 0.3) == pytest.approx(quality)


def test_distance_to_a_set_of_the_same_looks_is_zero_and_odd_features_are_named() -> None:
    space = feature_space(FACTS)
    assert space.distances(FACTS["set1"])["set1"] == pytest.approx(0)
    dark = NEW.model_copy(update={"meta_features": {"brightness_mean": 99.0}})
    assert space.odd_features(dark) == ["brightness_mean"]
