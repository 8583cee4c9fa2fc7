"""Explicit ALS: closed forms, planted tables."""

from __future__ import annotations

import numpy as np
import pytest

from lib.errors import MatrixError
from lib.performance_prediction.als import explicit
from lib.performance_prediction.als.explicit import SIDE_PENALTY, fit_als
from lib.performance_prediction.table.scales import Scale
from tests.performance_prediction.score_tables import planted


def test_rank_one_table_without_holes_is_the_shrunk_singular_vectors() -> None:
    """At the minimum of ‖R − xyᵀ‖² + λ(‖x‖² + ‖y‖²) the product is S_λ(R): the singular value less λ (centred, so no biases)."""
    rng = np.random.default_rng(0)
    left, right = rng.standard_normal(12), rng.standard_normal(9)
    left, right = left - left.mean(), right - right.mean()
    exact = np.outer(left, right)
    model = fit_als(0.5 + exact, rank=1, regularisation=0.2, sweeps=400)
    value = np.linalg.norm(left) * np.linalg.norm(right)
    np.testing.assert_allclose(model.predict() - 0.5, exact * (value - 0.2) / value, atol=1e-7)


def test_rank_zero_solves_the_ridge_equations_of_the_biases() -> None:
    table, _ = planted(8, 6)
    model = fit_als(table.values, rank=0, regularisation=0.7, sweeps=300)
    observed = table.observed
    cells = np.argwhere(observed)
    design = np.zeros((len(cells), 14))
    design[np.arange(len(cells)), cells[:, 0]] = 1
    design[np.arange(len(cells)), 8 + cells[:, 1]] = 1
    target = table.values[observed] - np.nanmean(table.values)
    biases = np.linalg.solve(design.T @ design + 0.7 * np.eye(14), design.T @ target)
    np.testing.assert_allclose(np.r_[model.row_biases, model.column_biases], biases, atol=1e-8)


def test_planted_low_rank_table_is_recovered_from_half_of_its_cells() -> None:
    rng = np.random.default_rng(3)
    truth = 0.5 + 0.1 * rng.standard_normal((60, 2)) @ rng.standard_normal((2, 50))
    seen = np.where(rng.random(truth.shape) < 0.5, truth, np.nan)
    model = fit_als(seen, rank=2, regularisation=1e-3, sweeps=80)
    assert np.abs(model.predict() - truth)[np.isnan(seen)].max() < 0.01


def test_loss_is_the_error_on_observed_cells_and_falls() -> None:
    table, _ = planted()
    told: list[tuple[int, float]] = []
    model = fit_als(table.values, rank=2, sweeps=8, on_sweep=lambda sweep, loss: told.append((sweep, loss)))
    error = np.sqrt(np.nanmean(np.square(model.predict() - table.values)))
    assert model.losses[-1] == pytest.approx(error, rel=1e-9)
    assert [sweep for sweep, _ in told] == list(range(1, 9))
    assert tuple(loss for _, loss in told) == model.losses
    assert model.losses[-1] < model.losses[0]


def test_a_large_table_in_single_precision_gives_the_same_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    table, _ = planted(40, 30)
    double = fit_als(table.values, rank=2, sweeps=5)
    monkeypatch.setattr(explicit, "SINGLE_PRECISION_FROM_CELLS", 0)
    np.testing.assert_allclose(fit_als(table.values, 2, sweeps=5).predict(), double.predict(), atol=1e-4)


def test_on_the_scale_of_the_scores_it_says_the_same() -> None:
    table, _ = planted()
    scale = Scale.fitted("identity", table.values)
    model = fit_als(scale.forward(table.values), rank=2, regularisation=0.3)
    own = model.on_scale(scale)
    np.testing.assert_allclose(own.predict(), scale.centre + scale.unit * model.predict())
    assert own.losses[-1] == pytest.approx(np.sqrt(np.nanmean(np.square(own.predict() - table.values))))


def test_row_without_a_value_gets_the_column_biases() -> None:
    table, _ = planted()
    values = table.values.copy()
    values[2] = np.nan
    model = fit_als(values, rank=2)
    np.testing.assert_allclose(model.predict()[2], model.mean + model.column_biases)


def test_table_without_a_measured_cell_is_refused() -> None:
    with pytest.raises(MatrixError, match="no measured cell"):
        fit_als(np.full((3, 3), np.nan), rank=1)


def test_a_column_without_cells_is_what_its_side_information_says_and_others_hardly_move() -> None:
    rng = np.random.default_rng(4)
    kinds = np.repeat(np.eye(2), 4, axis=0)  # two kinds of columns
    levels = kinds @ np.array([0.2, -0.2])
    values = 0.5 + 0.1 * rng.normal(size=(30, 1)) + levels + 0.005 * rng.normal(size=(30, 8))
    seen = values.copy()
    seen[:, 7] = np.nan
    plain, told = (fit_als(seen, 0, 0.3, 50, column_side=side) for side in (None, kinds))
    assert (
        np.abs(told.predict() - values)[:, 7].mean()
        < 0.02
        < 0.1
        < np.abs(plain.predict() - values)[:, 7].mean()
    )
    others = told.column_biases[4:7]
    ridge = told.column_biases[4:8].sum() / (4 + SIDE_PENALTY)  # of one indicator column
    assert told.column_biases[7] == pytest.approx(ridge, abs=2e-3)
    np.testing.assert_allclose(
        others, plain.column_biases[4:7] - plain.column_biases[4:7].mean() + others.mean(), atol=0.02
    )
