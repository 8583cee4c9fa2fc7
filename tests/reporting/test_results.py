"""The benchmark's tables: published critical differences, the choice by validation, what each choice bought."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lib.performance_prediction.boosting.cells import Pair
from lib.performance_prediction.boosting.evidence import Evidence, gather_evidence
from lib.records import RunRecord
from lib.reporting.results import best_pairs, bought, ranks
from lib.reporting.results_page import results_json, results_page
from tests.performance_prediction.synthetic_zoo import data_set_info, finished_run

SETS = [data_set_info(f"set{k:02}") for k in range(14)]


def tuned(run: RunRecord) -> RunRecord:
    recipe = run.recipe.model_copy(update={"finetune": True})
    return run.model_copy(update={"recipe": recipe, "key": f"{run.key}t"})


def four_pairs() -> tuple[list[RunRecord], Evidence]:
    rng = np.random.default_rng(0)
    runs = [
        finished_run(
            info,
            net,
            head,
            0.6 + 0.05 * i + 0.03 * j + rng.normal(0, 0.02),
            validation=0.9 - 0.1 * i - 0.01 * j,
        )
        for info in SETS
        for i, net in enumerate(("handcrafted", "resnet18"))
        for j, head in enumerate(("linear", "mlp"))
    ]
    runs += [finished_run(info, "handcrafted", "naive", 0.3) for info in SETS]
    runs += [tuned(finished_run(info, "resnet18", "linear", 0.8, folds=(0.9, 0.7))) for info in SETS[:2]]
    runs += [finished_run(SETS[0], "resnet18", "linear", 0.2, seed=3, weights_origin="random")]
    return runs, gather_evidence(runs, 10)


RUNS, EVIDENCE = four_pairs()


def test_the_critical_difference_is_the_published_one_and_ranks_add_up() -> None:
    """Demšar (2006), section 3.2.2: four classifiers on fourteen sets, CD = 2.569 √(4·5 / (6·14)) = 1.25."""
    found = ranks(EVIDENCE)
    assert found is not None
    assert found.critical == pytest.approx(2.569 * math.sqrt(20 / 84), abs=1e-3)
    assert len(found.mean) == 4  # the fine-tuned pair was not run everywhere
    assert sum(found.mean.values()) == pytest.approx(1 + 2 + 3 + 4)
    assert next(iter(found.mean)) == Pair("resnet18", "mlp")
    assert found.p < 0.01


def test_too_few_families_have_no_ranks() -> None:
    assert ranks(gather_evidence([r for r in RUNS if r.data_set.name in ("set00", "set01")], 10)) is None


def test_the_best_pair_is_chosen_on_validation_and_told_on_test() -> None:
    lines = {line.data_set: line for line in best_pairs(EVIDENCE, RUNS)}
    best = lines["set05"]
    (run,) = [
        r
        for r in RUNS
        if r.data_set.name == "set05" and r.backbone.name == "handcrafted" and r.head.name == "linear"
    ]
    assert best.pair == Pair("handcrafted", "linear")
    assert best.quality == best.linear == run.quality()
    assert (best.low, best.high) == pytest.approx((best.quality - 0.0196, best.quality + 0.0196))
    assert (best.chance, best.seconds) == (pytest.approx(0.3), 9.0)


def test_each_choice_is_compared_with_everything_else_alike() -> None:
    found = {one.choice: one for one in bought(EVIDENCE, RUNS)}
    network = found["a network: resnet18 against hand-made statistics"]
    assert network.gain.mean == pytest.approx(0.05, abs=0.01)
    assert network.n_families == 14
    assert found["a bigger head: mlp against linear"].gain.mean == pytest.approx(0.03, abs=0.01)
    frozen = [
        r.quality()
        for r in RUNS
        if r.data_set.name in ("set00", "set01")
        and r.backbone.name == "resnet18"
        and r.head.name == "linear"
        and not r.recipe.finetune
        and not r.seed
    ]
    tuning = found["fine-tuning: against the same pair frozen"]
    assert tuning.gain.mean == pytest.approx(0.8 - np.mean(frozen), abs=1e-4)  # type: ignore[arg-type]
    pretraining = found["pretraining: pretrained against random weights"]
    assert (pretraining.n_families, pretraining.gain.mean) == (1, pytest.approx(frozen[0] - 0.2, abs=1e-4))  # type: ignore[operator]


def test_a_bigger_network_is_compared_with_the_next_smaller() -> None:
    runs = [
        finished_run(info, net, "linear", q)
        for info in SETS[:3]
        for net, q in (("resnet18", 0.6), ("resnet50", 0.7))
    ]
    (only,) = bought(gather_evidence(runs, 10), runs)
    assert (only.choice, only.gain.mean) == (
        "a bigger network: resnet50 (3.0 M) against resnet18 (2.0 M)",
        0.1,
    )


def test_the_page_holds_a_line_for_each_set_and_no_broken_table() -> None:
    page = results_page([EVIDENCE], RUNS, [None])
    tables = [line for line in page.splitlines() if line.startswith("|")]
    assert sum(line.startswith("| set") for line in tables) == 14
    assert len({line.count("|") for line in tables if "set" in line[:6]}) == 1
    assert results_json(EVIDENCE, RUNS)["ranks"]["n_families"] == 14
