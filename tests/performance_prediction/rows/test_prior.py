"""Prior means from features, encoders and folds."""

import numpy as np
import pandas as pd

from lib.performance_prediction.rows.prior import fit_encoder, fit_row_prior, grouped_folds, trust

RNG = np.random.default_rng(0)


def test_folds_keep_relatives_together_and_cover_every_row_once() -> None:
    groups = np.repeat(np.arange(7), 3)
    folds = grouped_folds(groups, 4, seed=1)
    assert sorted(np.concatenate(folds).tolist()) == list(range(21))
    assert all(len(np.unique(groups[fold])) * 3 == len(fold) for fold in folds)


def test_out_of_fold_mean_without_features_is_the_mean_of_the_other_groups() -> None:
    values, groups = RNG.normal(size=(6, 3)), np.array([0, 0, 1, 1, 2, 2])
    prior = fit_row_prior(values, groups, None, seed=0)
    assert np.allclose(prior.out_of_fold[0], values[2:].mean(0))
    assert np.allclose(prior(None)[0], values.mean(0))


def test_a_telling_feature_explains_the_rows_and_junk_explains_nothing() -> None:
    size = RNG.normal(size=80)
    values = size[:, None] * np.array([1.0, 0.5, -1.0]) + 0.1 * RNG.normal(size=(80, 3))
    telling = fit_row_prior(values, np.arange(80), pd.DataFrame({"size": size}), seed=0)
    assert ((values - telling.out_of_fold) ** 2).mean() < 0.2 * values.var(0).mean()
    junk = fit_row_prior(values, np.arange(80), pd.DataFrame({"junk": RNG.normal(size=80)}), seed=0)
    assert ((values - junk.out_of_fold) ** 2).mean() < 1.08 * values.var(0).mean()


def test_encoder_fills_gaps_flags_them_and_splits_categories() -> None:
    features = pd.DataFrame(
        {"n": [1.0, np.nan, 3.0], "kind": ["a", "b", "a"], "same": [2, 2, 2], "text": ["x y", "z", "w"]}
    )
    encode = fit_encoder(features)
    assert encode is not None
    assert encode(features).tolist() == [[1, 0, 1, 0], [2, 1, 0, 1], [3, 0, 1, 0]]
    unknown = encode(pd.DataFrame({"kind": ["c"]}))
    assert unknown.tolist() == [[2, 1, 0, 0]]


def test_trust_shrinks_by_one_over_the_ratio_of_explained_to_unexplained_variance() -> None:
    wanted = np.array([[1.0], [-1.0], [2.0], [-2.0]])
    told = np.array([[[1.0], [-1.0], [1.0], [-1.0]]])
    solved = 6 / 4  # least squares, brought down to 1
    assert solved > 1
    left, explained = 2.0, 8.0  # of squares 10, by the weight 1
    np.testing.assert_allclose(trust(told, wanted, n_groups=4), [[1 - 1 / (4 * explained / left)]])


def test_what_explains_less_than_chance_is_not_trusted() -> None:
    wanted, told = RNG.normal(size=(40, 1)), RNG.normal(size=(1, 40, 1))
    told -= (told[0].T @ wanted) / (wanted.T @ wanted) * wanted * 0.9
    assert trust(told, wanted, n_groups=40).item() == 0


def test_features_without_a_telling_column_have_no_encoder() -> None:
    assert fit_encoder(pd.DataFrame({"same": [1, 1, 1], "text": ["a b", "c", "d"]})) is None
