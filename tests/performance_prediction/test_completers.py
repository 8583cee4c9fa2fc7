"""Single completers against independent sources: closed forms, fixed points, definitions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lib.performance_prediction.als.fold_in import condition_on_cells
from lib.performance_prediction.completers.additive import fit_additive
from lib.performance_prediction.completers.boosted import boosted_correction
from lib.performance_prediction.completers.gibbs import (
    Draw,
    GibbsSettings,
    _draw_normals,
    _Side,
    _wishart,
    sample,
)
from lib.performance_prediction.completers.knn import squared_distances
from lib.performance_prediction.completers.soft_impute import soft_impute
from lib.performance_prediction.completers.stack import Stack, choose_weights, nonnegative_weights
from lib.performance_prediction.table.hold_out import draw_folds, plan_folds
from lib.performance_prediction.table.score_scale import ScoreScale
from lib.performance_prediction.table.score_table import HeldOut
from lib.performance_prediction.table.side_information import side_coordinates
from tests.performance_prediction.score_tables import planted, table_of


def test_additive_effects_solve_the_mixed_model_equations() -> None:
    """Henderson's equations, with the variances that were estimated, solved directly."""
    table, _ = planted(9, 7)
    fitted = fit_additive(table.values)
    cells = np.argwhere(table.observed)
    design = np.zeros((len(cells), 17))
    design[:, 0] = 1
    design[np.arange(len(cells)), 1 + cells[:, 0]] = 1
    design[np.arange(len(cells)), 10 + cells[:, 1]] = 1
    ridge = np.r_[0, np.full(9, 1 / fitted.row_variance), np.full(7, 1 / fitted.column_variance)]
    solution = np.linalg.solve(
        design.T @ design / fitted.noise_variance + np.diag(ridge),
        design.T @ table.values[table.observed] / fitted.noise_variance,
    )
    expected = solution[0] + solution[1:10, None] + solution[10:]
    np.testing.assert_allclose(fitted.cells(), expected, atol=2e-3)


def test_additive_shrinks_a_row_of_one_cell_more_than_a_full_one() -> None:
    rng = np.random.default_rng(1)
    values = 0.5 + 0.1 * rng.standard_normal((30, 1)) + 0.05 * rng.standard_normal((30, 20))
    values[0], values[1] = np.nan, 0.9
    values[0, 0] = 0.9
    fitted = fit_additive(values)
    assert 0 < fitted.rows[0] < fitted.rows[1]


def test_soft_impute_ends_at_its_fixed_point() -> None:
    """Z = S_λ(P(X) + P⊥(Z)), eq. 13 of Mazumder et al. 2010, checked with scipy's SVD."""
    import scipy.linalg

    table, _ = planted(15, 12)
    residual = table.values - np.nanmean(table.values)
    fixed = soft_impute(residual, 0.4, steps=5000, tolerance=1e-10)
    left, singular, right = scipy.linalg.svd(np.where(table.observed, residual, fixed), full_matrices=False)
    np.testing.assert_allclose((left * np.maximum(singular - 0.4, 0)) @ right, fixed, atol=1e-6)


def test_soft_impute_beyond_the_largest_singular_value_leaves_nothing() -> None:
    table, _ = planted(15, 12)
    residual = table.values - np.nanmean(table.values)
    assert np.abs(soft_impute(residual, 1.01 * np.linalg.norm(np.nan_to_num(residual), 2))).max() == 0


def test_distances_are_mean_squares_over_common_cells() -> None:
    table, _ = planted(10, 200, hidden=0.2)
    observed, known = table.observed, np.nan_to_num(table.values)
    common = observed[0] & observed[1]
    direct = np.square(known[0, common] - known[1, common]).mean()
    assert squared_distances(known, observed)[0, 1] == pytest.approx(direct, rel=0.1)


@pytest.mark.parametrize("name", ["identity", "logit"])
def test_scales_return_the_scores_they_were_given(name: str) -> None:
    scores = np.array([[0.0, 0.2, 0.5, 0.99, 1.0]])
    scale = ScoreScale.fit(name, scores)  # type: ignore[arg-type]
    modelled = scale.forward(scores)
    assert modelled.mean() == pytest.approx(0, abs=1e-12) and modelled.std() == pytest.approx(1)
    np.testing.assert_allclose(scale.backward(modelled), scores, atol=1e-12)
    step = 1e-6
    numeric = (scale.backward(modelled + step) - scale.backward(modelled - step)) / (2 * step)
    np.testing.assert_allclose(numeric[0, 1:4], scale.slope(scores)[0, 1:4], rtol=1e-4)


def test_gibbs_finds_the_posterior_mean_of_a_conjugate_case() -> None:
    """With everything else given, a row's weights are normal: the mean of draws against the ridge solution."""
    rng = np.random.default_rng(0)
    precision = np.array([[3.0, 0.4], [0.4, 1.5]])
    target = np.array([1.0, -2.0])
    draws = _draw_normals(np.tile(precision, (40_000, 1, 1)), np.tile(target, (40_000, 1)), rng)
    np.testing.assert_allclose(draws.mean(axis=0), np.linalg.solve(precision, target), atol=0.02)
    np.testing.assert_allclose(np.cov(draws.T), np.linalg.inv(precision), atol=0.02)


def test_gibbs_conditional_of_a_row_is_the_weighted_ridge_solution() -> None:
    rng = np.random.default_rng(1)
    settings = GibbsSettings(rank=1)
    copies = 20_000
    side = _Side.start(copies, settings, np.zeros((copies, 0)), rng)
    side.precision, side.mean = np.diag([2.0, 5.0]), np.array([0.3, -0.2])
    other = np.array([[1.0, 0.1], [-0.5, 0.2], [2.0, 0.0]])
    known, weights = np.array([0.7, 0.0, 1.1]), np.array([4.0, 0.0, 9.0])
    side._draw_weights(np.tile(weights, (copies, 1)), np.tile(known, (copies, 1)), other, rng)
    design = np.c_[other[:, :1], np.ones(3)]
    posterior = side.precision + design.T @ np.diag(weights) @ design
    expected = np.linalg.solve(
        posterior, side.precision @ side.mean + design.T @ (weights * (known - other[:, 1]))
    )
    np.testing.assert_allclose(side.weights.mean(axis=0), expected, atol=0.02)


def test_wishart_draws_have_the_expected_mean() -> None:
    rng = np.random.default_rng(0)
    scale = np.array([[0.5, 0.1], [0.1, 0.3]])
    mean = np.mean([_wishart(7.0, scale, rng) for _ in range(4000)], axis=0)
    np.testing.assert_allclose(mean, 7 * scale, rtol=0.05)


def test_gibbs_learns_which_row_is_noisy() -> None:
    table, _ = planted(20, 40, noise=0.0, hidden=0.2)
    scale = ScoreScale.fit("logit", table.values)
    values = scale.forward(table.values)
    values[3] += np.random.default_rng(0).standard_normal(40)
    draws: list[Draw] = []
    sample(values, np.zeros((20, 0)), np.zeros((40, 0)), GibbsSettings(4, 40, 40), 0, draws.append)
    noise = np.mean([draw.noise_variance().mean(axis=1) for draw in draws], axis=0)
    assert len(draws) == 40
    assert noise.argmax() == 3


def test_new_row_is_the_conditional_normal() -> None:
    """Against the textbook formula, with the shrunk covariance spelled out."""
    rng = np.random.default_rng(0)
    rows = 0.5 + 0.05 * rng.standard_normal((30, 1)) + 0.01 * rng.standard_normal((30, 4))
    spread = np.full(rows.shape, 0.02)
    values = np.array([0.6, np.nan, 0.58, np.nan])
    mean, deviation = condition_on_cells(rows, spread, values)
    centred = rows - rows.mean(axis=0)
    sample_covariance = centred.T @ centred / 30
    covariance = sample_covariance * 30 / 35
    np.fill_diagonal(covariance, np.diag(sample_covariance) + 0.02**2)
    seen, rest = [0, 2], [1, 3]
    gain = covariance[np.ix_(rest, seen)] @ np.linalg.inv(covariance[np.ix_(seen, seen)])
    np.testing.assert_allclose(
        mean[rest], rows.mean(axis=0)[rest] + gain @ (values[seen] - rows.mean(axis=0)[seen]), rtol=1e-5
    )
    left = covariance[np.ix_(rest, rest)] - gain @ covariance[np.ix_(seen, rest)]
    np.testing.assert_allclose(deviation[rest], np.sqrt(np.diag(left)), rtol=1e-4)


def test_blend_weights_are_the_non_negative_least_squares() -> None:
    rng = np.random.default_rng(0)
    predictions = rng.uniform(0.2, 0.8, (4000, 3))
    truth = predictions @ np.array([0.7, 0.3, 0.0]) + 0.01 * rng.standard_normal(4000)
    np.testing.assert_allclose(
        nonnegative_weights(predictions, truth, np.ones(4000)), [0.7, 0.3, 0.0], atol=0.01
    )


def test_blend_that_does_not_earn_its_place_gives_way_to_the_best_member() -> None:
    rng = np.random.default_rng(0)
    truth = rng.uniform(0, 1, (20, 30))
    good = HeldOut(truth + 0.01 * rng.standard_normal(truth.shape), np.full(truth.shape, 0.01))
    noise = HeldOut(rng.uniform(0, 1, truth.shape), np.full(truth.shape, 0.3))
    chosen = choose_weights(table_of(truth), {"good": good, "noise": noise}, 0)
    assert dict(chosen.weights) == {"good": 1.0}


def test_blend_of_two_halves_of_the_truth_is_used() -> None:
    rng = np.random.default_rng(0)
    truth = rng.uniform(0, 1, (20, 30))
    members = {
        name: HeldOut(truth + 0.05 * rng.standard_normal(truth.shape), np.full(truth.shape, 0.05))
        for name in "ab"
    }
    chosen = choose_weights(table_of(truth), members, 0)
    assert set(chosen.weights) == {"a", "b"}
    assert chosen.blend_error < min(chosen.member_errors.values())


def test_stack_hands_over_its_held_out_predictions() -> None:
    table, _ = planted()
    held_out = Stack().fit(table).held_out
    assert held_out is not None
    assert np.isfinite(held_out.mean[table.observed]).all() and np.isnan(held_out.mean[~table.observed]).all()


def test_folds_part_the_measured_cells_evenly() -> None:
    table, _ = planted()
    folds = draw_folds(table.observed, 4, seed=1)
    sizes = [int((folds == fold).sum()) for fold in range(4)]
    assert sum(sizes) == table.observed.sum() and max(sizes) - min(sizes) <= 1
    assert (folds[~table.observed] == -1).all()


def test_large_tables_hide_one_share_and_small_ones_every_cell() -> None:
    assert len(plan_folds(np.ones((300, 200), bool), 0)) == 1
    small = plan_folds(np.ones((6, 5), bool), 0)
    assert np.sum(small, axis=0).tolist() == np.ones((6, 5)).tolist()


def test_names_that_share_parts_are_near_each_other() -> None:
    names = [
        "vit|laion|lr0.1",
        "vit|laion|lr0.01",
        "resnet|openai|lr0.1",
        "resnet|openai|lr0.01",
        "vit|openai|lr0.1",
    ]
    known = side_coordinates(names, None)
    assert known is not None
    places = known[0]
    assert np.linalg.norm(places[0] - places[1]) < np.linalg.norm(places[0] - places[3])


def test_names_with_nothing_in_common_say_nothing() -> None:
    assert side_coordinates(["3", "8", "11", "12"], None) is None


def test_encoder_places_known_features_where_they_were() -> None:
    features = pd.DataFrame(
        {
            "size": [10.0, 1000.0, np.nan, 50.0, 7.0, 3.0],
            "kind": ["a", "b", "a", None, "b", "a"],
            "same": [1] * 6,
        }
    )
    known = side_coordinates([str(i) for i in range(6)], features)
    assert known is not None
    places, encoder = known
    np.testing.assert_allclose(encoder.encode(features), places, atol=1e-9)
    assert np.isfinite(encoder.encode(pd.DataFrame({"kind": ["never seen"], "size": ["huge"]}))).all()


def test_correction_learns_what_features_tell_and_the_blend_missed() -> None:
    rng = np.random.default_rng(0)
    kind = np.repeat(["soft", "hard"], 30)
    truth = np.clip(0.5 + 0.1 * (kind == "hard")[:, None] + 0.01 * rng.standard_normal((60, 60)), 0, 1)
    seen = np.where(rng.random(truth.shape) < 0.15, truth, np.nan)
    table = table_of(seen, pd.DataFrame({"kind": kind}))
    flat, spread = np.full(truth.shape, 0.55), np.full(truth.shape, 0.05)
    held_out = HeldOut(np.where(np.isfinite(seen), flat, np.nan), np.where(np.isfinite(seen), spread, np.nan))
    correction = boosted_correction(table, flat, spread, held_out, 0)
    assert correction is not None
    missing = np.isnan(seen)
    assert np.abs(correction.mean - truth)[missing].mean() < 0.5 * np.abs(flat - truth)[missing].mean()
    np.testing.assert_array_equal(correction.mean[~missing], flat[~missing])


def test_correction_of_pure_noise_is_refused() -> None:
    rng = np.random.default_rng(0)
    seen = np.where(rng.random((60, 60)) < 0.15, rng.uniform(0, 1, (60, 60)), np.nan)
    flat, spread = np.full(seen.shape, 0.5), np.full(seen.shape, 0.3)
    held_out = HeldOut(np.where(np.isfinite(seen), flat, np.nan), np.where(np.isfinite(seen), spread, np.nan))
    assert boosted_correction(table_of(seen), flat, spread, held_out, 0) is None
