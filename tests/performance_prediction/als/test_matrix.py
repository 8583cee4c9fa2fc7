"""The quality matrix: no pair is favoured by easy data sets, no family by its many derived sets."""

from __future__ import annotations

import numpy as np
import pytest

from lib.performance_prediction.als.matrix import family_weights, fit_effects, quality_matrix
from lib.performance_prediction.boosting.evidence import Cell, Pair, gather_evidence
from tests.performance_prediction.synthetic_zoo import (
    QUALITY_OF_BACKBONE,
    data_set_info,
    finished_run,
    incompatible_run,
    zoo_runs,
)


def cell(data_set: str, pair: Pair, quality: float, family: str | None = None) -> Cell:
    return Cell(data_set, family or data_set, pair, quality, float("nan"), 1)


A, B = Pair("a", "linear"), Pair("b", "linear")


def test_a_pair_run_only_on_the_easy_set_is_not_favoured() -> None:
    easy, hard = data_set_info("easy"), data_set_info("hard")
    runs = [
        finished_run(easy, "strong", "linear", 0.95),
        finished_run(hard, "strong", "linear", 0.55),
        finished_run(easy, "weak", "linear", 0.90),
        finished_run(hard, "other", "linear", 0.50),
        finished_run(easy, "other", "linear", 0.90),
    ]
    matrix = quality_matrix(gather_evidence(runs))
    strong, weak = matrix.backbones.index("strong"), matrix.backbones.index("weak")
    assert matrix.values[strong, 0] == pytest.approx(0.75)
    assert matrix.values[weak, 0] == pytest.approx(0.70)


def test_a_full_table_keeps_the_plain_mean_of_each_pair() -> None:
    runs, _ = zoo_runs(4)
    evidence = gather_evidence(runs)
    matrix = quality_matrix(evidence)
    for i, backbone in enumerate(matrix.backbones):
        for j, head in enumerate(matrix.heads):
            plain = np.mean([c.quality for c in evidence.cells if c.pair == (backbone, head)])
            assert matrix.values[i, j] == pytest.approx(plain)


def test_additive_structure_is_recovered_from_a_table_with_holes() -> None:
    runs, _ = zoo_runs(6, hole_share=0.4, noise=0.0)
    matrix = quality_matrix(gather_evidence(runs))
    shift = (
        matrix.values[matrix.backbones.index("resnet50")] - matrix.values[matrix.backbones.index("resnet18")]
    )
    assert shift == pytest.approx(QUALITY_OF_BACKBONE["resnet50"] - QUALITY_OF_BACKBONE["resnet18"], abs=1e-9)


def test_derived_sets_of_one_original_weigh_as_much_as_one_set() -> None:
    weights = family_weights({"steel": "steel", "steel@train10": "steel", "leaf": "leaf"})
    assert weights == {"steel": 0.5, "steel@train10": 0.5, "leaf": 1.0}
    cells = [cell("steel", A, 0.2), cell("steel@train10", A, 0.4, "steel"), cell("leaf", A, 0.9)]
    assert fit_effects(cells).quality(A) == pytest.approx((0.3 + 0.9) / 2)


def test_effects_explain_each_measured_cell_of_an_additive_table() -> None:
    cells = [cell("x", A, 0.2), cell("x", B, 0.3), cell("y", A, 0.6), cell("y", B, 0.7)]
    effects = fit_effects(cells)
    assert [effects.quality(c.pair, c.data_set) for c in cells] == pytest.approx([0.2, 0.3, 0.6, 0.7])


def test_runs_that_share_neither_set_nor_pair_are_said_to_be_incomparable() -> None:
    runs = [
        finished_run(data_set_info("x"), "a", "linear", 0.9),
        finished_run(data_set_info("y"), "b", "linear", 0.2),
    ]
    matrix = quality_matrix(gather_evidence(runs))
    assert matrix.effects.components == 2
    assert any("cannot be compared" in note for note in matrix.notes)


def test_an_incompatible_pair_is_no_hole_and_a_working_one_never_incompatible() -> None:
    info = data_set_info("x")
    runs = [
        finished_run(info, "resnet18", "linear", 0.9),
        finished_run(info, "resnet18", "mlp", 0.9),
        finished_run(info, "handcrafted", "linear", 0.7),
        incompatible_run(info, "handcrafted", "mlp", "no gradient"),
        incompatible_run(info, "resnet18", "linear", "was so with an older version"),
    ]
    matrix = quality_matrix(gather_evidence(runs))
    assert matrix.incompatible == {Pair("handcrafted", "mlp"): "no gradient"}
    assert not matrix.possible[matrix.backbones.index("handcrafted"), matrix.heads.index("mlp")]
    assert matrix.possible.sum() == 3


def test_qualities_stay_within_zero_and_one() -> None:
    cells = [cell("x", A, 0.99), cell("x", B, 1.0), cell("y", A, 0.1)]
    assert 0 <= fit_effects(cells).quality(B, "x") <= 1
