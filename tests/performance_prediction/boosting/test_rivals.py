"""Every predictor for unseen data sets keeps its contract, and the trivial ones say what their names say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, roc_auc_score

import lib.performance_prediction.boosting.booster
import lib.performance_prediction.boosting.pair_gaussian
import lib.performance_prediction.boosting.rivals  # noqa: F401
from lib.performance_prediction.boosting.cells import PROBE_PAIRS
from lib.performance_prediction.boosting.contract import (
    SET_PREDICTORS,
    Known,
    chance_level,
    lift,
    unlift,
)
from lib.performance_prediction.boosting.evidence import Pair, gather_evidence
from lib.performance_prediction.boosting.row_model import RowModel
from lib.performance_prediction.boosting.saved_row import SavedRowModel
from lib.performance_prediction.boosting.similarity import feature_space
from tests.performance_prediction.synthetic_zoo import data_set_info, facts_of, finished_run, zoo_runs

RUNS, FACTS = zoo_runs(5, seeds=1, hole_share=0.2)
EVIDENCE = gather_evidence(RUNS, facts=FACTS)
NEW = facts_of(data_set_info("new"), brightness=0.5)
KNOWN = {pair: Known(0.7, 0.01) for pair in PROBE_PAIRS}


@pytest.mark.parametrize("name", SET_PREDICTORS.names())
def test_predicts_every_pair_within_zero_and_one_and_the_same_each_time(name: str) -> None:
    first = SET_PREDICTORS[name]().fit(EVIDENCE).predict(NEW, EVIDENCE.pairs, KNOWN)
    again = SET_PREDICTORS[name]().fit(EVIDENCE).predict(NEW, EVIDENCE.pairs, KNOWN)
    assert first.shape == (len(EVIDENCE.pairs),)
    assert np.all((first >= 0) & (first <= 1))
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("name", SET_PREDICTORS.names())
def test_answers_for_a_pair_never_run_and_a_data_set_without_any_feature(name: str) -> None:
    bare = NEW.model_copy(update={"meta_features": {}})
    fitted = SET_PREDICTORS[name]().fit(EVIDENCE)
    assert np.isfinite(fitted.predict(bare, [Pair("never", "run"), EVIDENCE.pairs[0]], {})).all()


@pytest.mark.parametrize("families", [5, 2])
def test_a_saved_row_model_says_what_the_fitted_one_does_of_images_nothing_is_measured_on(
    families: int, tmp_path: Path
) -> None:
    """Beside its features, a gap in every third, and with nothing known of the images; two families are too few for features."""
    left_out = set(sorted(set(EVIDENCE.families.values()))[families:])
    evidence = EVIDENCE.without(left_out)
    fitted = RowModel().fit(evidence)
    SavedRowModel.of(fitted, evidence).save(tmp_path, evidence)
    saved = SavedRowModel.load(tmp_path, evidence)
    assert saved is not None
    assert bool(saved.arrays) == (families == 5)
    for meta_features in (NEW.meta_features, dict(list(NEW.meta_features.items())[::3]), {}):
        new = NEW.model_copy(update={"meta_features": meta_features})
        said = (one.predict(new, [*EVIDENCE.pairs, Pair("never", "run")], {}) for one in (saved, fitted))
        np.testing.assert_allclose(*said, atol=1e-12)
    assert SavedRowModel.load(tmp_path, evidence.without({"set0"})) is None


def test_shift_only_moves_every_pair_by_the_mean_distance_of_the_known_ones() -> None:
    additive = SET_PREDICTORS["additive"]().fit(EVIDENCE).predict(NEW, EVIDENCE.pairs, {})
    pairs = EVIDENCE.pairs
    known = {pairs[i]: Known(additive[i] + 0.02 * i) for i in (1, 3)}
    shifted = SET_PREDICTORS["shift_only"]().fit(EVIDENCE).predict(NEW, pairs, known)
    assert shifted == pytest.approx(additive + 0.04)


def test_nearest_in_known_repeats_the_set_whose_cells_are_the_known_ones() -> None:
    measured = {cell.pair: cell.quality for cell in EVIDENCE.cells if cell.data_set == "set3"}
    known = {pair: Known(quality) for pair, quality in list(measured.items())[:4]}
    said = SET_PREDICTORS["nearest_in_known"]().fit(EVIDENCE).predict(NEW, list(measured), known)
    assert said == pytest.approx(list(measured.values()))


def test_nearest_set_repeats_what_was_measured_on_the_most_similar_one() -> None:
    same_looks = FACTS["set2"].model_copy(update={"name": "new"})
    measured = [cell for cell in EVIDENCE.cells if cell.data_set == "set2"]
    fitted = SET_PREDICTORS["nearest_set"]().fit(EVIDENCE)
    predicted = fitted.predict(same_looks, [cell.pair for cell in measured], {})
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
        finished_run(
            entry, "resnet18", "linear", float(unlift(0.5, chance_level(facts[entry.name], "accuracy")))
        )
        for entry in info
    ]
    new = NEW.model_copy(update={"meta_features": {"majority_share": 0.2}})
    fitted = SET_PREDICTORS["additive_lift"]().fit(gather_evidence(runs, facts=facts))
    assert fitted.predict(new, [Pair("resnet18", "linear")], {})[0] == pytest.approx(0.6)


def test_lift_and_unlift_undo_each_other() -> None:
    quality = np.linspace(0, 1, 7)
    assert unlift(lift(quality, 0.3), 0.3) == pytest.approx(quality)


def test_distance_to_a_set_of_the_same_looks_is_zero_and_odd_features_are_named() -> None:
    space = feature_space(FACTS)
    assert space.distances(FACTS["set1"])["set1"] == pytest.approx(0)
    dark = NEW.model_copy(update={"meta_features": {"brightness_mean": 99.0}})
    assert space.odd_features(dark) == ["brightness_mean"]


@pytest.mark.parametrize(
    ("metric", "level"), [("accuracy", 0.6), ("balanced_accuracy", 1 / 3), ("macro_f1", 0.25), ("auroc", 0.5)]
)
def test_chance_of_each_metric_is_that_of_always_saying_the_largest_class(metric: str, level: float) -> None:
    """Ten labels 6:3:1, judged by scikit-learn."""
    truth, said = np.repeat([0, 1, 2], [6, 3, 1]), np.zeros(10)
    facts = NEW.model_copy(update={"meta_features": {"n_classes": 3.0, "majority_share": 0.6}})
    judges = {
        "accuracy": lambda: accuracy_score(truth, said),
        "balanced_accuracy": lambda: balanced_accuracy_score(truth, said),
        "macro_f1": lambda: f1_score(truth, said, average="macro", zero_division=0),
        "auroc": lambda: roc_auc_score(truth == 0, said),
    }
    assert chance_level(facts, metric) == pytest.approx(level) == judges[metric]()  # type: ignore[arg-type]
