"""What every registered completer keeps to; to register one is to have it tested here."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import lib.performance_prediction.completers  # noqa: F401  registers the completers
from lib.errors import CvAutomlError
from lib.performance_prediction.table.score_table import COMPLETERS, ScoreTable
from tests.performance_prediction.score_tables import planted, table_of

EXPECTED = {
    "global_mean",
    "column_mean",
    "additive",
    "knn",
    "soft_impute",
    "als",
    "bayesian_mf",
    "implicit",
    "implicit_calibrated",
}
every_completer = pytest.mark.parametrize("name", sorted(COMPLETERS))


def awkward_tables() -> dict[str, ScoreTable]:
    full, _ = planted(12, 10)
    holes = full.values.copy()
    holes[3] = np.nan
    holes[:, 2] = np.nan
    one = np.full((5, 4), np.nan)
    one[2, 1] = 0.7
    constant = np.full((6, 5), 0.5)
    constant[0, 0] = np.nan
    extreme = np.where(full.observed, (full.values > 0.5).astype(float), np.nan)
    return {
        "empty row and column": table_of(holes),
        "one cell": table_of(one),
        "constant": table_of(constant),
        "zeros and ones": table_of(extreme),
        "one row": table_of(full.values[:1]),
        "one column": table_of(full.values[:, :1]),
    }


def test_all_promised_completers_are_registered() -> None:
    assert set(COMPLETERS) >= EXPECTED


def test_unknown_completer_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(CvAutomlError, match="soft_impute"):
        COMPLETERS["softimpute"]


@every_completer
def test_every_cell_gets_a_finite_mean_in_the_unit_interval_and_a_positive_spread(name: str) -> None:
    table, _ = planted()
    completion = COMPLETERS[name]().fit(table)
    assert completion.mean.shape == completion.spread.shape == table.values.shape
    assert ((completion.mean >= 0) & (completion.mean <= 1)).all()
    assert (completion.spread > 0).all() and np.isfinite(completion.spread).all()


@every_completer
@pytest.mark.parametrize("kind", sorted(awkward_tables()))
def test_awkward_tables_are_completed(name: str, kind: str) -> None:
    table = awkward_tables()[kind]
    completion = COMPLETERS[name]().fit(table)
    assert np.isfinite(completion.mean).all() and np.isfinite(completion.spread).all()
    assert (completion.spread > 0).all()


@every_completer
def test_same_seed_same_numbers(name: str) -> None:
    table, _ = planted(14, 12)
    first, second = (COMPLETERS[name]().fit(table, seed=5) for _ in range(2))
    np.testing.assert_array_equal(first.mean, second.mean)
    np.testing.assert_array_equal(first.spread, second.spread)


@every_completer
def test_the_table_given_is_not_changed(name: str) -> None:
    table, _ = planted(14, 12)
    before = table.values.copy()
    COMPLETERS[name]().fit(table)
    np.testing.assert_array_equal(table.values, before)


@pytest.mark.parametrize("name", ["additive", "als", "bayesian_mf", "knn", "soft_impute"])
def test_planted_table_is_completed_better_than_by_column_means(name: str) -> None:
    table, truth = planted(30, 36)
    hidden = ~table.observed
    error = np.abs(COMPLETERS[name]().fit(table).mean - truth)[hidden].mean()
    trivial = np.abs(COMPLETERS["column_mean"]().fit(table).mean - truth)[hidden].mean()
    assert error < 0.75 * trivial


@every_completer
def test_on_permuted_entries_nothing_beats_the_global_mean(name: str) -> None:
    """A leak test: with all structure shuffled away, whoever is better than the mean has seen the hidden cells."""
    gains = []
    for seed in range(2):
        rng = np.random.default_rng(seed)
        _, truth = planted(30, 36, seed=seed)
        shuffled = rng.permutation(truth.ravel()).reshape(truth.shape)
        seen = np.where(rng.random(truth.shape) < 0.5, shuffled, np.nan)
        hidden = np.isnan(seen)
        mean = COMPLETERS[name]().fit(table_of(seen), seed).mean
        trivial = np.abs(np.nanmean(seen) - shuffled)[hidden].mean()
        gains.append(trivial - np.abs(mean - shuffled)[hidden].mean())
    assert np.mean(gains) < 0.001


def test_features_reach_a_row_in_which_nothing_was_measured() -> None:
    rng = np.random.default_rng(0)
    level = rng.uniform(0.2, 0.8, 40)
    truth = np.clip(level[:, None] + 0.02 * rng.standard_normal((40, 20)), 0, 1)
    values = np.where(rng.random(truth.shape) < 0.3, np.nan, truth)
    values[:5] = np.nan
    features = pd.DataFrame({"hardness": 1 - level, "kind": ["a", "b"] * 20})
    with_features = COMPLETERS["bayesian_mf"]().fit(table_of(values, features)).mean
    without = COMPLETERS["bayesian_mf"]().fit(table_of(values)).mean
    assert np.abs(with_features - truth)[:5].mean() < 0.5 * np.abs(without - truth)[:5].mean()
