"""Scoring completers on hidden cells."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lib.performance_prediction.table.complete import complete
from lib.performance_prediction.table.evaluate import (
    EvaluationPlan,
    evaluate,
    hidden_cells,
    mean_row_spearman,
    score_completion,
    summarise,
)
from tests.performance_prediction.score_tables import planted, table_of


def test_hidden_cells_are_the_asked_share_of_the_observed_ones() -> None:
    table, _ = planted()
    hidden = hidden_cells(table.observed, 0.3, seed=4)
    assert hidden.sum() == round(0.3 * table.observed.sum())
    assert not (hidden & ~table.observed).any()
    assert (hidden != hidden_cells(table.observed, 0.3, seed=5)).any()


def test_rank_correlation_is_the_one_pandas_computes() -> None:
    rng = np.random.default_rng(0)
    truth, told = rng.random((4, 30)).round(1), rng.random((4, 30)).round(1)
    cells = rng.random((4, 30)) < 0.6
    cells[3] = False
    expected = np.mean(
        [
            pd.Series(truth[i, cells[i]]).corr(pd.Series(told[i, cells[i]]), method="spearman")
            for i in range(3)
        ]
    )
    assert mean_row_spearman(truth, told, cells) == pytest.approx(expected)


def test_constant_predictions_have_no_rank_correlation() -> None:
    cells = np.ones((3, 6), dtype=bool)
    assert mean_row_spearman(np.random.default_rng(0).random((3, 6)), np.full((3, 6), 0.5), cells) is None


def test_scores_are_counted_over_hidden_cells_only() -> None:
    values = np.array([[0.1, 0.2, 0.9], [0.3, 0.4, 0.5]])
    hidden = np.array([[False, False, True], [False, False, False]])
    done = complete(table_of(values).hiding(hidden), "global_mean")
    scores = score_completion("made up", values, hidden, done, 0.17, 0)
    assert scores.mae == pytest.approx(0.9 - np.mean([0.1, 0.2, 0.3, 0.4, 0.5]))
    assert scores.coverage == float(done.low[0, 2] <= 0.9 <= done.high[0, 2])


def test_summary_holds_mean_and_deviation_over_seeds() -> None:
    table, _ = planted(12, 10)
    told = []
    results = evaluate("made up", table, EvaluationPlan((0.3,), 3, ("global_mean", "additive")), told.append)
    lines = summarise(results)
    assert told == results and len(results) == 6
    assert [line.completer for line in lines] == ["global_mean", "additive"]
    errors = [scores.mae for scores in results if scores.completer == "additive"]
    assert lines[1].mae.mean == pytest.approx(np.mean(errors)) and lines[1].mae.deviation == pytest.approx(
        np.std(errors)
    )
    assert lines[0].spearman.mean is None
