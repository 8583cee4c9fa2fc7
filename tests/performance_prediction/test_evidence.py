"""Which runs count, and the sentence where none do."""

from __future__ import annotations

import numpy as np
import pytest

from lib.errors import TooLittleDataError
from lib.performance_prediction.boosting.evidence import Pair, family_of, gather_evidence
from tests.performance_prediction.synthetic_zoo import data_set_info, finished_run, incompatible_run

REAL = data_set_info("steel")
MADE_UP = data_set_info("strips", procedural=True)


def test_seeds_of_one_pair_are_averaged() -> None:
    runs = [
        finished_run(REAL, "resnet18", "linear", quality, seed) for seed, quality in enumerate((0.8, 0.9))
    ]
    (cell,) = gather_evidence(runs).cells
    assert cell.quality == pytest.approx(0.85)
    assert cell.spread == pytest.approx(np.std([0.8, 0.9], ddof=1))
    assert cell.n_runs == 2


def test_quality_is_that_of_the_epoch_asked_for() -> None:
    run = finished_run(REAL, "resnet18", "linear", 0.8, epochs=10)
    (cell,) = gather_evidence([run], epoch=5).cells
    assert cell.quality == pytest.approx(0.8 * 0.95)


def test_without_an_epoch_each_run_counts_with_its_last() -> None:
    short = finished_run(REAL, "resnet18", "linear", 0.7, epochs=3)
    long = finished_run(REAL, "resnet18", "mlp", 0.8, epochs=10)
    evidence = gather_evidence([short, long])
    assert [evidence.quality(run) for run in evidence.runs] == pytest.approx([0.7, 0.8])
    assert len(evidence.digest()) == 16


def test_an_epoch_no_run_has_is_answered_with_those_that_exist() -> None:
    with pytest.raises(TooLittleDataError, match="epochs 1 to 10"):
        gather_evidence([finished_run(REAL, "resnet18", "linear", 0.8)], epoch=11)


def test_an_unknown_domain_is_answered_with_the_domains_present() -> None:
    with pytest.raises(TooLittleDataError, match="domains with runs: industrial"):
        gather_evidence([finished_run(REAL, "resnet18", "linear", 0.8)], domain="medicall")


def test_a_task_without_runs_is_answered_with_what_there_is() -> None:
    with pytest.raises(TooLittleDataError, match=r"classification in industrial \(1\)"):
        gather_evidence([finished_run(REAL, "resnet18", "linear", 0.8)], task="segmentation")


def test_no_runs_at_all_says_how_to_make_some() -> None:
    with pytest.raises(TooLittleDataError, match=r"zoo\.py run"):
        gather_evidence([])


def test_procedural_runs_are_left_out_where_real_ones_exist_and_it_is_said() -> None:
    runs = [finished_run(REAL, "resnet18", "linear", 0.8), finished_run(MADE_UP, "resnet18", "linear", 0.99)]
    evidence = gather_evidence(runs)
    assert evidence.data_sets == ("steel",)
    assert any("procedural" in note for note in evidence.left_out)
    assert not evidence.procedural


def test_random_weights_are_left_out_where_pretrained_ones_exist_and_it_is_said() -> None:
    runs = [
        finished_run(REAL, "resnet18", "linear", 0.8),
        finished_run(REAL, "resnet50", "linear", 0.5, weights_origin="random"),
        finished_run(REAL, "handcrafted", "linear", 0.6),
    ]
    evidence = gather_evidence(runs)
    assert evidence.pairs == (Pair("handcrafted", "linear"), Pair("resnet18", "linear"))
    assert any("random weights left out" in note for note in evidence.left_out)


def test_random_weights_alone_are_used_and_shouted_about() -> None:
    runs = [finished_run(REAL, "resnet50", "linear", 0.5, weights_origin="random")]
    evidence = gather_evidence(runs)
    assert evidence.random_weights
    assert any("RANDOM WEIGHTS" in note for note in evidence.left_out)


def test_accuracy_and_dice_are_never_mixed() -> None:
    masks = data_set_info("masks", task="segmentation")
    runs = [
        finished_run(REAL, "resnet18", "linear", 0.8),
        finished_run(REAL, "resnet18", "mlp", 0.8),
        finished_run(masks, "resnet18", "deeplabv3plus", 0.4),
    ]
    assert gather_evidence(runs).task == "classification"
    assert gather_evidence(runs, task="segmentation").data_sets == ("masks",)


def test_a_fine_tuned_pair_is_another_pair_than_the_frozen_one() -> None:
    frozen = finished_run(REAL, "resnet18", "linear", 0.8)
    tuned = frozen.model_copy(update={"recipe": frozen.recipe.model_copy(update={"finetune": True})})
    assert len(gather_evidence([frozen, tuned]).pairs) == 2


def test_an_incompatible_pair_is_kept_apart_with_its_reason() -> None:
    runs = [
        finished_run(REAL, "resnet18", "linear", 0.8),
        incompatible_run(REAL, "handcrafted", "mlp", "no gradient"),
    ]
    assert gather_evidence(runs).incompatible == {Pair("handcrafted", "mlp"): "no gradient"}


def test_a_derived_set_belongs_to_the_family_of_its_original_through_any_number_of_steps() -> None:
    parents = {"steel@train10": "patches", "patches": "steel", "steel": None}
    assert family_of("steel@train10", parents) == "steel"


def test_related_originals_are_one_family() -> None:
    assert family_of("neu_seg", {}, [["neu_cls", "neu_seg"]]) == "neu_cls"
