"""Which runs count, and the sentence where none do."""

from __future__ import annotations

import pytest

from lib.errors import TooLittleDataError
from lib.performance_prediction.boosting.evidence import Pair, family_of, gather_evidence
from tests.performance_prediction.synthetic_zoo import data_set_info, facts_of, finished_run, incompatible_run

REAL = data_set_info("steel")
MADE_UP = data_set_info("strips", procedural=True)


def test_seeds_of_one_pair_are_averaged() -> None:
    runs = [
        finished_run(REAL, "resnet18", "linear", quality, seed) for seed, quality in enumerate((0.8, 0.9))
    ]
    (cell,) = gather_evidence(runs).cells
    assert cell.quality == pytest.approx(0.85)
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
        gather_evidence([finished_run(REAL, "resnet18", "linear", 0.8)], domains=("medicall",))


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


def test_chance_is_a_line_and_never_a_pair() -> None:
    runs = [finished_run(REAL, "resnet18", "linear", 0.8), finished_run(REAL, "handcrafted", "naive", 0.4)]
    runs.append(incompatible_run(REAL, "resnet50", "naive", "needs nothing"))
    evidence = gather_evidence(runs)
    assert evidence.pairs == (Pair("resnet18", "linear"),)
    assert not evidence.incompatible
    with pytest.raises(TooLittleDataError, match="no finished classification run"):
        gather_evidence(runs[1:])


def test_several_domains_are_taken_together() -> None:
    runs = [
        finished_run(data_set_info(d, domain=d), "resnet18", "linear", 0.8)
        for d in ("medical", "biology", "x")
    ]
    evidence = gather_evidence(runs, domains=("medical", "biology"))
    assert evidence.data_sets == ("biology", "medical")
    assert evidence.domain == "medical, biology"


def test_another_metric_is_read_where_it_was_measured() -> None:
    run = finished_run(REAL, "resnet18", "linear", 0.8)
    first = run.epochs[-1].model_copy(update={"test": {"accuracy": 0.8, "macro_f1": 0.6}})
    run = run.model_copy(update={"epochs": (*run.epochs[:-1], first)})
    assert gather_evidence([run], metric="macro_f1").cells[0].quality == pytest.approx(0.6)
    with pytest.raises(TooLittleDataError, match="has measured auroc"):
        gather_evidence([run], metric="auroc")
    with pytest.raises(TooLittleDataError, match="dice is no metric of classification"):
        gather_evidence([run], metric="dice", task="classification")


@pytest.mark.parametrize(
    "change",
    [
        {"recipe": {"learning_rate": 0.5}},
        {"recipe": {"epochs": 20}},
        {"backbone": {"weights_hash": "other"}},
        {"head": {"version": 2}},
        {"data_set": {"split_hash": "other"}},
        {"data_set": {"fingerprint": "other"}},
    ],
)
def test_cells_hold_one_kind_of_run_the_one_that_most_sets_have(change: dict[str, dict[str, object]]) -> None:
    ((part, values),) = change.items()
    usual = [
        finished_run(data_set_info(name), "resnet18", head, 0.8) for name in "ab" for head in ("mlp", "knn")
    ]
    odd = finished_run(data_set_info("a"), "resnet18", "mlp", 0.2, epochs=int(str(values.get("epochs", 10))))
    odd = odd.model_copy(update={part: getattr(odd, part).model_copy(update=values)})
    evidence = gather_evidence([odd, *usual])
    assert [cell.quality for cell in evidence.cells] == pytest.approx([0.8] * 4)
    assert any(note.startswith("1 runs left out") for note in evidence.left_out)


def test_the_digest_changes_with_runs_facts_and_families() -> None:
    info, other = data_set_info("a"), data_set_info("b")
    runs = [finished_run(one, "resnet18", "linear", 0.8) for one in (info, other)]
    facts = {"a": facts_of(info, 0.5)}
    brighter = facts["a"].model_copy(update={"meta_features": {"brightness_mean": 0.6}})
    newer = facts["a"].model_copy(update={"meta_features_version": 9})
    digests = [
        gather_evidence(runs, facts=facts).digest(),
        gather_evidence(runs[:1], facts=facts).digest(),
        gather_evidence(runs, facts={"a": brighter}).digest(),
        gather_evidence(runs, facts={"a": newer}).digest(),
        gather_evidence(runs, facts=facts, related=[["a", "b"]]).digest(),
    ]
    assert len(set(digests)) == len(digests)
    assert digests[0] == gather_evidence(runs[::-1], facts=facts).digest()
