"""The leaderboard: ordered by validation, reported on test, chance beside it, random weights shouted."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from lib.errors import TooLittleDataError
from lib.reporting.leaderboard import (
    leaderboard,
    leaderboard_table,
    overview,
    overview_table,
    title_of,
    troubles,
)
from tests.records.factory import make_record


def run(backbone="net", latency_ms=2.0, origin="cache", finetune=False, procedural=False, **values):
    values.setdefault("data_set", "steel")
    latency = make_record().latency.model_copy(update={"batch1_median_ms": latency_ms})
    return make_record(
        backbone=backbone,
        data_set_info={"procedural": procedural},
        backbone_info={"weights_origin": origin, "weights_hash": origin},
        recipe_info={"finetune": finetune},
        **({"latency": latency} if values.get("status", "finished") == "finished" else {}),
        **values,
    )


def printed(table):
    console = Console(file=io.StringIO(), width=180)
    console.print(table)
    return console.file.getvalue()


def test_quality_is_the_mean_over_seeds_with_the_error_of_the_images_and_the_spread_of_the_seeds():
    (row,) = leaderboard([run(seed=0, quality=0.7), run(seed=1, quality=0.9)], "steel").rows
    assert row.quality == pytest.approx(0.8)
    assert row.standard_error == pytest.approx(0.02)
    assert row.spread == pytest.approx(0.1414, abs=1e-4)
    assert (row.n_seeds, row.parameters, row.training_s) == (2, 1018, 1.0)
    assert "0.8000 ± 0.0200" in printed(leaderboard_table(leaderboard([run(quality=0.8)], "steel"), ""))


def test_one_seed_has_no_spread():
    assert leaderboard([run()], "steel").rows[0].spread is None


def test_an_epoch_asks_for_the_quality_after_it_of_which_no_error_is_known():
    row = leaderboard([run(quality=0.8)], "steel", epoch=1).rows[0]
    assert row.quality == pytest.approx(0.8 * 0.73)
    assert row.standard_error is None
    assert leaderboard([run()], "steel", epoch=10).rows[0].standard_error == 0.02


def test_an_epoch_nobody_measured_is_a_sentence():
    with pytest.raises(TooLittleDataError, match="epoch 11"):
        leaderboard([run()], "steel", epoch=11)


def test_the_best_on_validation_comes_first_and_costs_can_sort():
    runs = [
        run("lucky", quality=0.95, validation=0.6, latency_ms=1),
        run("good", quality=0.9, validation=0.8, latency_ms=9),
    ]
    assert [row.backbone for row in leaderboard(runs, "steel").rows] == ["good", "lucky"]
    assert [row.backbone for row in leaderboard(runs, "steel", sort="latency").rows] == ["lucky", "good"]
    assert overview(runs)[0].best.backbone == "good"


def test_other_test_numbers_move_no_line():
    generator = np.random.default_rng(0)
    shares = generator.permutation(np.linspace(0.3, 0.9, 8))

    def order(test):
        runs = [run(f"net_{i}", validation=share, quality=q) for i, (share, q) in enumerate(zip(shares, test, strict=True))]  # fmt: skip
        rows = leaderboard([*runs, run(head="naive", quality=1.0)], "steel").rows
        return [row.backbone for row in rows], overview(runs)[0].best.backbone

    first = order(shares)
    assert all(order(generator.permutation(shares)) == first for _ in range(5))


def test_another_metric_orders_by_itself():
    runs = [
        run("a", metric="macro_f1", quality=0.5),
        run("b", metric="macro_f1", quality=0.7),
        run("c", quality=0.9),
    ]
    rows = leaderboard(runs, "steel", metric="macro_f1").rows
    assert [(row.backbone, row.metric) for row in rows] == [("b", "macro_f1"), ("a", "macro_f1")]
    with pytest.raises(TooLittleDataError, match="its metrics are accuracy, balanced_accuracy"):
        leaderboard(runs, "steel", metric="dice")


def test_naive_is_the_chance_line_below_and_never_the_best():
    runs = [run(quality=0.5), run(head="naive", quality=0.9)]
    board = leaderboard(runs, "steel")
    assert [row.head for row in board.rows] == ["linear"]
    assert board.chance.quality == 0.9
    assert printed(leaderboard_table(board, "")).rindex("naive (chance)") > 0
    (line,) = overview(runs)
    assert (line.best.head, line.chance_quality) == ("linear", 0.9)
    assert overview([run(head="naive")])[0].best is None


def test_recipes_and_splits_are_lines_of_their_own():
    rows = leaderboard([run(), run(finetune=True), run(folds=0)], "steel").rows
    assert {row.recipe for row in rows} == {
        "10 epochs, frozen, 2 folds",
        "10 epochs, finetuned, 2 folds",
        "10 epochs, frozen, own split",
    }


def test_random_weights_are_shouted_and_never_mixed_with_pretrained_ones():
    board = leaderboard([run(), run(origin="random", seed=1)], "steel")
    assert [row.n_seeds for row in board.rows] == [1, 1]
    assert "RANDOM WEIGHTS" in printed(leaderboard_table(board, "steel"))


def test_procedural_sets_are_marked():
    runs = [run(procedural=True)]
    assert "PROCEDURAL" in title_of(runs, "steel", None)
    assert "procedural" in printed(overview_table(overview(runs)))


def test_overview_counts_runs_and_names_the_best_trained_pair():
    runs = [
        run("lucky", origin="random", quality=0.99),
        run("good", quality=0.9),
        run("broken", status="failed"),
        run(data_set="wood"),
    ]
    steel, wood = overview(runs)
    assert (steel.data_set, steel.finished, steel.failed, wood.data_set) == ("steel", 2, 1, "wood")
    assert steel.best.backbone == "good"


def test_failed_runs_are_listed_with_their_reason():
    assert troubles([run(), run("broken", status="failed")], "steel") == [
        "failed: broken × linear, seed 0: as the test asks"
    ]
    assert leaderboard([run(status="failed")], "steel").rows == ()


def test_an_unknown_data_set_is_answered_with_the_nearest_name():
    with pytest.raises(TooLittleDataError, match="did you mean steel"):
        leaderboard([run()], "steal")


def test_no_records_at_all_is_a_sentence():
    with pytest.raises(TooLittleDataError, match="no runs yet"):
        overview([])
