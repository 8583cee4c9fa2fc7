"""The policy of a budget: promise a second, learnt from other data sets only, and an honest outlook."""

from __future__ import annotations

import pytest

from lib.performance_prediction.boosting.cells import Pair
from lib.recommendation.budget_policy import BudgetPolicy, Option
from lib.reporting.budget import outlook_sentence
from tests.performance_prediction.synthetic_zoo import (
    BACKBONES,
    HEADS,
    data_set_info,
    facts_of,
    finished_run,
    zoo_runs,
)

RUNS, FACTS = zoo_runs(6, seeds=1)
INFO = data_set_info("new")
PAIRS = [Pair(backbone, head) for backbone in BACKBONES for head in HEADS if head != "naive"]


def policy(records=RUNS) -> BudgetPolicy:
    return BudgetPolicy(records, {**FACTS, "new": facts_of(INFO, 0.5)})


def options(cost_s=lambda pair: 1.0, seeds=(0,)) -> list[Option]:
    return [Option(INFO, pair, seed, cost_s(pair)) for pair in PAIRS for seed in seeds]


def test_a_good_pair_comes_first_and_a_bad_one_late() -> None:
    order = policy().order(options(), [])
    assert PAIRS[order[0]].backbone == "resnet50"
    assert all(PAIRS[i].backbone == "handcrafted" for i in order[-3:])


def test_a_pair_that_costs_a_thousand_times_as_much_waits() -> None:
    best = PAIRS[policy().order(options(), [])[0]]
    order = policy().order(options(lambda pair: 1000.0 if pair == best else 1.0), [])
    assert PAIRS[order[0]] != best


def test_further_seeds_of_measured_pairs_come_after_all_pairs() -> None:
    own = [finished_run(INFO, "resnet50", "mlp", 0.8)]
    left = [
        option for option in options(seeds=(0, 1)) if (option.pair, option.seed) != (("resnet50", "mlp"), 0)
    ]
    order = policy().order(left, own)
    place = next(k for k, i in enumerate(order) if left[i].pair == ("resnet50", "mlp"))
    gains = policy()._gains(INFO, own)
    assert place >= sum(gain > 0 for gain in gains.values())


def test_without_other_records_the_cheapest_come_first_and_it_is_said() -> None:
    alone = policy([])
    order = alone.order(options(lambda pair: 1.0 + PAIRS.index(pair)), [])
    assert order == list(range(len(PAIRS)))
    assert "cheapest cells first" in alone.reasons[0]
    assert "nothing can be said" in outlook_sentence(
        alone.outlook(INFO, PAIRS, [finished_run(INFO, "resnet18", "mlp", 0.5)])
    )


def test_runs_on_the_data_set_itself_do_not_train_its_model() -> None:
    own = [finished_run(INFO, backbone, head, 0.99) for backbone in BACKBONES for head in HEADS]
    evidence = policy([*RUNS, *own])._others(INFO)
    assert "new" not in evidence.data_sets


def test_the_outlook_knows_whether_the_best_was_found() -> None:
    best, worst = (
        finished_run(INFO, *pair, quality)
        for pair, quality in ((("resnet50", "mlp"), 0.8), (("handcrafted", "knn"), 0.5))
    )
    left = [pair for pair in PAIRS if pair not in (("resnet50", "mlp"), ("handcrafted", "knn"))]
    good = policy().outlook(INFO, left, [best, worst])
    bad = policy().outlook(INFO, [*left, Pair("resnet50", "mlp")], [worst])
    assert good.found > 0.5 > bad.found
    assert good.share > bad.share
    assert good.low <= good.remaining_best <= good.high
    assert "expected to have found" in outlook_sentence(good)


def test_when_every_pair_was_run_the_best_is_known() -> None:
    own = [finished_run(INFO, *pair, 0.5) for pair in PAIRS]
    assert "every pair was run" in outlook_sentence(policy().outlook(INFO, [], own))


def test_what_to_run_next_is_chosen_by_validation_whatever_the_test_parts_say() -> None:
    own = [finished_run(INFO, "resnet50", head, 0.9, validation=0.6) for head in ("mlp", "linear")]
    other = [finished_run(INFO, "resnet50", head, 0.1, validation=0.6) for head in ("mlp", "linear")]
    left = [option for option in options() if option.pair.backbone != "resnet50"]
    assert policy().order(left, own) == policy().order(left, other)
    assert policy().outlook(INFO, PAIRS, own).measured_best == pytest.approx(0.6)


def test_other_test_labels_leave_the_order_of_the_budget() -> None:
    own = [finished_run(INFO, "resnet18", head, 0.5 + 0.1 * k) for k, head in enumerate(HEADS[:3])]

    def with_test(run, quality):
        epochs = tuple(e.model_copy(update={"test": dict.fromkeys(e.test, quality)}) for e in run.epochs)
        folds = tuple(f.model_copy(update={"test": dict.fromkeys(f.test, quality)}) for f in run.folds)
        return run.model_copy(update={"epochs": epochs, "folds": folds})

    changed = [with_test(run, quality) for run, quality in zip(own, (0.9, 0.1, 0.4), strict=True)]
    assert policy().order(options(), own) == policy().order(options(), changed)
