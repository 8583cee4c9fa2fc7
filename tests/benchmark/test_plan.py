"""A plan says of every cell whether it is done, cannot work, failed or is to do, and what is left in seconds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lib.benchmark.plan import CELL_S, Cell, Estimates, plan_cells
from lib.config import Settings
from lib.records import Environment, EpochEntry, FinalMetrics, FoldResult, HeadInfo, RunRecord, Timing
from lib.records.costs import Rates
from lib.zoo.recipes import recipe_for
from tests.zoo.made_up import made_up_backbone_info, made_up_data_set


def cell(head="linear", seed=0, backbone=None, **values):
    info = made_up_data_set(**values).info("own")
    recipe = recipe_for(head, "classification", Settings(), precision="fp32")
    return Cell(info, backbone or made_up_backbone_info(), head, recipe, seed)


def record(of: Cell, status="finished", timing=None, device="cpu", **values):
    sizes = {"n_train": of.data_set.n_train, "n_validation": 0, "n_test": 0}
    done = {
        "epochs": (EpochEntry(epoch=1, test={"accuracy": 0.9}),),
        "folds": tuple(FoldResult(fold=k, test={}, **sizes) for k in of.recipe.folds),
        "final": FinalMetrics(metrics={}),
    }
    return RunRecord(
        key=of.key,
        status=status,
        reason=None if status == "finished" else "a reason",
        data_set=of.data_set,
        backbone=of.backbone,
        head=HeadInfo(name=of.head, parameters=1),
        recipe=of.recipe,
        seed=of.seed,
        timing=timing or Timing(),
        environment=Environment(device=device, threads=2, versions={}, project_version="0"),
        **(done if status == "finished" else {}),
        **values,
    )


def test_each_cell_has_the_state_of_its_record():
    done, failed, fresh = cell(seed=0), cell(seed=1), cell(seed=2)
    known = {done.key: record(done), failed.key: record(failed, "failed")}
    plan = plan_cells([done, failed, fresh], lambda one: known.get(one.key), Estimates())
    assert [planned.state for planned in plan.cells] == ["done", "failed", "to do"]
    assert [planned.to_run for planned in plan.cells] == [False, True, True]
    assert [one.state for one in plan.cells].count("to do") == 1


def test_failed_cells_may_be_left_as_they_are():
    failed = cell()
    plan = plan_cells([failed], lambda one: record(one, "failed"), Estimates(), skip_failed=True)
    assert not plan.cells[0].to_run
    assert plan.estimated_s == 0


def test_incompatible_cells_name_their_reason_and_cost_nothing():
    plan = plan_cells([cell(n_classes=1)], lambda one: None, Estimates())
    assert plan.cells[0].state == "incompatible"
    assert "one class" in plan.cells[0].reason
    assert plan.estimated_s == 0


def test_an_incompatible_record_of_an_older_version_does_not_hide_a_cell_that_works_now():
    plan = plan_cells([cell()], lambda one: record(one, "incompatible"), Estimates())
    assert plan.cells[0].state == "to do"


def test_features_of_a_group_are_counted_once():
    cells = [cell("linear"), cell("mlp"), cell("knn")]
    plan = plan_cells(cells, lambda one: None, Estimates())
    assert len(plan.features_s) == 1
    cached = plan_cells(cells, lambda one: None, Estimates(), cached=lambda one: True)
    assert sum(cached.features_s.values()) == 0


def test_naive_heads_need_no_features():
    assert plan_cells([cell("naive")], lambda one: None, Estimates()).features_s == {}


def test_estimates_come_from_records_of_the_same_machine():
    # 120 images: 2 s of features are 1/60 s an image; 12 s over 10 epochs and 72 images are 1/60 s an image and epoch
    timing = Timing(features_s=2.0, features_images=120, training_s=9.0, evaluation_s=3.0)
    estimates = Estimates(Rates.of([record(cell(), timing=timing)], "cpu", 2))
    larger = cell(n=360)
    assert estimates.rates.training
    assert estimates.features_s(larger) == pytest.approx(6.0)
    assert estimates.training_s(larger) == pytest.approx(CELL_S + 36.0)


def test_folds_cost_as_often_as_they_train():
    estimates = Estimates(Rates.of([record(cell(), timing=Timing(training_s=12.0))], "cpu", 2))
    one = cell()
    three = replace(one, recipe=one.recipe.model_copy(update={"folds": (0, 1, 2)}))
    assert estimates.training_s(three) == pytest.approx(CELL_S + 36)


def test_seconds_of_other_numbers_of_threads_are_shared_out_where_there_are_no_own():
    one = record(cell(), timing=Timing(features_s=2.0, features_images=120, training_s=12.0))
    assert one.environment.threads == 2
    four = Estimates(Rates.of([one], "cpu", 4))
    assert four.training_s(cell()) == pytest.approx(CELL_S + 6.0)
    assert four.features_s(cell()) == pytest.approx(1.0)


def test_a_fine_tuned_pair_that_never_ran_costs_what_its_network_costs():
    # heads on network a: 2 and 3; a third network's features take five times as long
    rates = Rates(
        {"a": 0.1, "b": 0.4, "c": 0.5},
        {
            ("linear", True, "a"): 2.0,
            ("mlp", True, "a"): 3.0,
            ("linear", True, "b"): 8.0,
            ("linear", True, None): 5.0,
            ("mlp", True, None): 3.0,
        },
    )
    assert rates.training_s("mlp", True, "b", 1, 1) == pytest.approx(12.0)
    assert rates.training_s("linear", True, "c", 1, 1) == pytest.approx(10.0)
    assert rates.training_s("linear", True, "d", 1, 1) == pytest.approx(5.0)
    assert rates.training_s("student", True, "d", 1, 1) is None


def test_records_of_another_machine_are_no_evidence():
    assert not Estimates(Rates.of([record(cell(), device="cuda")], "cpu", 2)).rates.training


def test_a_backbone_that_never_ran_takes_the_rate_of_the_head_elsewhere():
    estimates = Estimates(Rates.of([record(cell(), timing=Timing(training_s=12.0))], "cpu", 2))
    other = cell(backbone=made_up_backbone_info("other"))
    assert estimates.training_s(other) == pytest.approx(CELL_S + 12)
