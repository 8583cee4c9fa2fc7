"""The leaderboard: one line a pair and recipe, quality over seeds with its spread, random weights shouted."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from lib.errors import TooLittleDataError
from lib.records import (
    BackboneInfo,
    DataSetInfo,
    Environment,
    EpochEntry,
    FinalMetrics,
    HeadInfo,
    Latency,
    Recipe,
    RunRecord,
    Timing,
)
from lib.reporting.leaderboard import (
    leaderboard,
    leaderboard_table,
    overview,
    overview_table,
    title_of,
    troubles,
)


def run(
    backbone="net",
    head="linear",
    seed=0,
    qualities=(0.5, 0.8),
    status="finished",
    origin="cache",
    procedural=False,
    finetune=False,
    latency_ms=2.0,
    data_set="steel",
):
    return RunRecord(
        key=f"{backbone}{head}{seed}{finetune}",
        status=status,
        reason=None if status == "finished" else "a reason",
        data_set=DataSetInfo(
            name=data_set,
            domain="industrial",
            task="classification",
            fingerprint="f",
            split_hash="s",
            classes=("a", "b"),
            n_images=10,
            n_train=6,
            n_validation=2,
            n_test=2,
            class_counts=(5, 5),
            procedural=procedural,
        ),
        backbone=BackboneInfo(
            name=backbone,
            family="f",
            parameters=1000,
            embedding_width=8,
            input_size_px=32,
            flops=1.0,
            pretraining_data="d",
            pretraining_method="m",
            weights_origin=origin,
            weights_hash=origin,
        ),
        head=HeadInfo(name=head, parameters=18),
        recipe=Recipe(epochs=2, batch_size=8, learning_rate=0.1, weight_decay=0, finetune=finetune),
        seed=seed,
        epochs=tuple(EpochEntry(epoch=i + 1, test={"accuracy": q}) for i, q in enumerate(qualities)),
        final=FinalMetrics(metrics={"accuracy": qualities[-1]}),
        timing=Timing(training_s=1.0 + seed),
        latency=Latency(batch1_median_ms=latency_ms, batch1_p95_ms=3, batch32_median_ms=4, batch32_p95_ms=5),
        environment=Environment(device="cpu", threads=1, versions={}, project_version="0"),
    )


def test_quality_is_the_mean_over_seeds_with_its_standard_deviation():
    rows = leaderboard([run(seed=0, qualities=(0.7,)), run(seed=1, qualities=(0.9,))], "steel")
    assert len(rows) == 1
    assert rows[0].quality == pytest.approx(0.8)
    assert rows[0].spread == pytest.approx(0.1414, abs=1e-4)
    assert (rows[0].n_seeds, rows[0].parameters, rows[0].training_s) == (2, 1018, 1.5)


def test_one_seed_has_no_spread():
    assert leaderboard([run()], "steel")[0].spread is None


def test_epoch_asks_for_the_quality_after_it():
    assert leaderboard([run()], "steel", epoch=1)[0].quality == 0.5


def test_an_epoch_nobody_measured_is_a_sentence():
    with pytest.raises(TooLittleDataError, match="epoch 9"):
        leaderboard([run()], "steel", epoch=9)


def test_the_best_comes_first_and_costs_can_sort():
    runs = [run("small", qualities=(0.6,), latency_ms=1), run("good", qualities=(0.9,), latency_ms=9)]
    assert [row.backbone for row in leaderboard(runs, "steel")] == ["good", "small"]
    assert [row.backbone for row in leaderboard(runs, "steel", sort="latency")] == ["small", "good"]


def test_frozen_and_finetuned_runs_are_two_lines():
    rows = leaderboard([run(), run(finetune=True)], "steel")
    assert {row.recipe for row in rows} == {"2 epochs, frozen", "2 epochs, finetuned"}


def test_random_weights_are_shouted_and_never_mixed_with_pretrained_ones():
    rows = leaderboard([run(), run(origin="random", seed=1)], "steel")
    assert [row.n_seeds for row in rows] == [1, 1]
    console = Console(file=io.StringIO(), width=160)
    console.print(leaderboard_table(rows, "steel"))
    assert "RANDOM WEIGHTS" in console.file.getvalue()


def test_procedural_sets_are_marked():
    runs = [run(procedural=True)]
    assert "PROCEDURAL" in title_of(runs, "steel", None)
    console = Console(file=io.StringIO(), width=160)
    console.print(overview_table(overview(runs)))
    assert "procedural" in console.file.getvalue()


def test_overview_counts_runs_and_names_the_best_trained_pair():
    runs = [
        run("lucky", origin="random", qualities=(0.99,)),
        run("good", qualities=(0.9,)),
        run(head="naive", qualities=(0.5,)),
        run("broken", status="failed"),
        run(data_set="wood"),
    ]
    steel, wood = overview(runs)
    assert (steel.data_set, steel.finished, steel.failed, wood.data_set) == ("steel", 3, 1, "wood")
    assert steel.best.backbone == "good"
    assert steel.naive_quality == 0.5


def test_failed_runs_are_listed_with_their_reason():
    assert troubles([run(), run("broken", status="failed")], "steel") == [
        "failed: broken × linear, seed 0: a reason"
    ]


def test_a_set_with_failed_runs_alone_has_no_rows():
    assert leaderboard([run(status="failed")], "steel") == []


def test_an_unknown_data_set_is_answered_with_the_nearest_name():
    with pytest.raises(TooLittleDataError, match="did you mean steel"):
        leaderboard([run()], "steal")


def test_no_records_at_all_is_a_sentence():
    with pytest.raises(TooLittleDataError, match="no runs yet"):
        overview([])
