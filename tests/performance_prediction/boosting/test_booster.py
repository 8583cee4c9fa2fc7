"""CatBoost: learns what decides quality, never sees what it may not, survives being saved, explains itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lib.errors import TooLittleDataError
from lib.performance_prediction.boosting.booster import (
    BoosterSetting,
    CatBoostPredictor,
    ProbedCatBoostPredictor,
    ablate,
    fit_booster,
)
from lib.performance_prediction.boosting.cells import PROBE_PAIRS, Pair
from lib.performance_prediction.boosting.contract import Known
from lib.performance_prediction.boosting.evidence import gather_evidence
from lib.performance_prediction.boosting.explain import describe, explain_model, explain_set
from lib.performance_prediction.boosting.features import (
    FEATURE_GROUPS,
    Row,
    feature_frame,
    pair_facts,
    run_table,
)
from lib.performance_prediction.boosting.files import load_booster, save_booster
from lib.performance_prediction.boosting.rivals import expected
from lib.reporting.boosting import draw_explanation
from tests.performance_prediction.synthetic_zoo import (
    BACKBONES,
    data_set_info,
    facts_of,
    finished_run,
    zoo_runs,
)

RUNS, FACTS = zoo_runs(10, seeds=2)
EVIDENCE = gather_evidence(RUNS, facts=FACTS)
SETTING = BoosterSetting("quality", 2, 60, ("known",))
BOOSTER = fit_booster(EVIDENCE, SETTING)
DARK, BRIGHT = (facts_of(data_set_info("new"), brightness) for brightness in (0.02, 0.98))
NEW = facts_of(data_set_info("new"), 0.5)


def test_learns_that_bright_sets_are_easier() -> None:
    pairs = EVIDENCE.pairs
    gap = BOOSTER.predict(BRIGHT, pairs, {}) - BOOSTER.predict(DARK, pairs, {})
    assert gap.mean() > 0.1  # the invented truth is 0.29


def test_a_new_set_gets_no_embedding_of_its_own() -> None:
    """Only the pair has ALS features; leaking the set's level through them would be seen here."""
    frame = BOOSTER.frame(DARK, EVIDENCE.pairs, {})
    own = [name for name in frame if name.startswith("als_")]
    assert own
    other = BOOSTER.frame(BRIGHT, EVIDENCE.pairs, {})
    assert frame[own].equals(other[own])


def test_embeddings_of_a_training_fold_do_not_depend_on_the_held_out_family() -> None:
    changed = [
        run.model_copy(
            update={"epochs": tuple(e.model_copy(update={"test": {"accuracy": 0.1}}) for e in run.epochs)}
        )
        if run.data_set.name == "set0"
        else run
        for run in RUNS
    ]
    with_truth = pair_facts(EVIDENCE.without({"set0"}))
    with_nonsense = pair_facts(gather_evidence(changed, facts=FACTS).without({"set0"}))
    assert {p: f.embeddings for p, f in with_truth.items()} == {
        p: f.embeddings for p, f in with_nonsense.items()
    }


def test_the_table_has_one_row_a_finished_run_and_every_group_of_features() -> None:
    table = run_table(EVIDENCE)
    assert len(table) == len(EVIDENCE.runs)
    assert list(table["quality"]) == pytest.approx([run.quality() for run in EVIDENCE.runs])
    for column in ("set_brightness_mean", "description", "backbone_family", "head", "epochs", "als_quality"):
        assert column in table


def test_a_group_left_out_takes_its_columns_with_it() -> None:
    row = [Row(DARK, next(iter(pair_facts(EVIDENCE).values())), {"shift": 0.1})]
    whole = set(feature_frame(row))
    for group in FEATURE_GROUPS:
        assert set(feature_frame(row, leave_out=[group])) <= whole
    assert "description" not in feature_frame(row, leave_out=["text"])


def test_the_probed_predictor_learns_what_known_cells_tell_of_the_others() -> None:
    """On half of the sets handcrafted features win; knowing their cells is the only way to tell which half."""
    runs, facts = [], {}
    for i in range(10):
        info = data_set_info(f"s{i}")
        facts[info.name] = facts_of(info, 0.5)
        for backbone in BACKBONES:
            for head in ("knn", "linear", "catboost", "mlp"):
                odd = 0.2 if (i % 2 and backbone == "handcrafted") else 0.0
                runs.append(finished_run(info, backbone, head, 0.6 + odd))
    evidence = gather_evidence(runs, facts=facts)
    fitted = ProbedCatBoostPredictor((BoosterSetting("quality", 2, 60, ("text",)),)).fit(evidence)
    known = {pair: Known(0.8 if pair.backbone == "handcrafted" else 0.6) for pair in PROBE_PAIRS}
    hand, net = fitted.predict(NEW, [Pair("handcrafted", "mlp"), Pair("resnet18", "mlp")], known)
    assert hand > net + 0.1
    assert {"known_shift", "known_handcrafted × linear"} <= set(fitted.features)
    plain = fit_booster(evidence, SETTING)
    assert not any(name.startswith("known_") for name in plain.features)


def test_a_saved_model_says_the_same(tmp_path: Path) -> None:
    trees, description = save_booster(BOOSTER, EVIDENCE, tmp_path)
    assert trees.suffix == ".cbm"
    assert "set_brightness_mean" in description.read_text()
    loaded = load_booster(tmp_path, EVIDENCE)
    assert loaded is not None
    np.testing.assert_allclose(
        loaded.predict(DARK, EVIDENCE.pairs, {}), BOOSTER.predict(DARK, EVIDENCE.pairs, {}), atol=1e-9
    )


def test_a_model_of_other_runs_or_a_torn_one_is_not_loaded(tmp_path: Path) -> None:
    save_booster(BOOSTER, EVIDENCE, tmp_path)
    assert load_booster(tmp_path, EVIDENCE.without({"set0"})) is None
    changed = {**FACTS, "set0": FACTS["set0"].model_copy(update={"meta_features": {}})}
    assert load_booster(tmp_path, gather_evidence(RUNS, facts=changed)) is None
    trees = next(tmp_path.glob("*.cbm"))
    trees.write_bytes(trees.read_bytes()[:-1] + b"!")
    assert load_booster(tmp_path, EVIDENCE) is None


def test_runs_without_facts_are_too_little() -> None:
    with pytest.raises(TooLittleDataError, match="meta-features"):
        fit_booster(gather_evidence(RUNS), SETTING)


def test_settings_are_chosen_by_families_left_out() -> None:
    useless = BoosterSetting("quality", 1, 1, ("known",))
    chosen = CatBoostPredictor(settings=(useless, SETTING)).fit(EVIDENCE).setting
    assert chosen == SETTING


def test_the_explanation_names_what_makes_the_set_hard() -> None:
    explanation = explain_set(BOOSTER, DARK, FACTS, EVIDENCE.pairs)
    assert explanation.contributions[0].feature == "set_brightness_mean"
    assert "predicted lower" in explanation.sentence
    assert "the images are dark" in explanation.sentence


def test_shap_values_add_up_to_the_departure_from_the_average() -> None:
    explanation = explain_set(BOOSTER, DARK, FACTS, EVIDENCE.pairs)
    base = [expected(BOOSTER.effects, pair) for pair in EVIDENCE.pairs]
    departure = np.mean(BOOSTER.predict(DARK, EVIDENCE.pairs, {}) - base)
    total = sum(c.effect for c in explanation.contributions)
    assert total == pytest.approx(departure, abs=0.02)  # they differ by the model's mean departure, near zero


def test_the_model_as_a_whole_depends_most_on_brightness() -> None:
    assert explain_model(BOOSTER, FACTS, EVIDENCE.pairs[:4]).contributions[0].feature == "set_brightness_mean"


def test_the_picture_of_an_explanation_is_drawn(tmp_path: Path) -> None:
    draw_explanation(explain_set(BOOSTER, DARK, FACTS, EVIDENCE.pairs), tmp_path / "why.png")
    assert (tmp_path / "why.png").stat().st_size > 10_000


def test_ablation_judges_the_whole_first_and_says_what_it_cannot_leave_out() -> None:
    runs, facts = zoo_runs(3, seeds=1)
    facts = {name: entry.model_copy(update={"description": ""}) for name, entry in facts.items()}
    lines, skipped = ablate(gather_evidence(runs, facts=facts), BoosterSetting("quality", 2, 5))
    assert [line.name for line in lines] == ["nothing", "ALS embeddings", "data-set features"]
    assert "text feature" in skipped[0]


def test_values_are_worded_by_their_place_among_known_sets() -> None:
    assert describe("set_brightness_mean", 0.1) == "the images are dark"
    assert describe("set_brightness_mean", 0.9) == "the images are bright"
    assert describe("set_never_heard_of", 0.9) == "never heard of is high"
