"""Filled holes against a planted low-rank truth and against the trivial fill."""

import numpy as np

from lib.performance_prediction.rows.hole_filling import fill_holes


def _planted(noise: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(40, 2)) @ rng.normal(size=(2, 25)) + rng.normal(size=25)
    shown = np.where(rng.random(truth.shape) < 0.3, np.nan, truth + noise * rng.normal(size=truth.shape))
    return truth, shown


def test_planted_low_rank_table_is_recovered_far_better_than_by_column_means() -> None:
    truth, shown = _planted(0.05)
    filled = fill_holes(shown)
    holes = np.isnan(shown)
    means = np.broadcast_to(np.nanmean(shown, axis=0), truth.shape)
    assert np.abs(filled.values - truth)[holes].mean() < 0.15 * np.abs(means - truth)[holes].mean()


def test_variance_of_a_hole_is_what_is_missed_there() -> None:
    truth, shown = _planted(0.3)
    filled = fill_holes(shown)
    holes = np.isnan(shown)
    missed = ((filled.values - truth)[holes] ** 2).mean() + 0.3**2
    assert 0.5 < filled.variance[holes].mean() / missed < 2.0
    assert (filled.variance[~holes] == 0).all()


def test_measured_cells_and_whole_tables_stay_as_they_are() -> None:
    truth, shown = _planted(0.1)
    measured = np.isfinite(shown)
    assert np.array_equal(fill_holes(shown).values[measured], shown[measured])
    assert np.array_equal(fill_holes(truth).values, truth)


def test_columns_and_tables_with_hardly_a_value_are_filled() -> None:
    for shape in ((2, 1), (3, 5)):
        table = np.full(shape, np.nan)
        table[0, 0] = 0.4
        filled = fill_holes(table)
        assert np.isfinite(filled.values).all() and np.isfinite(filled.variance).all()
