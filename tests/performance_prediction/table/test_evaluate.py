"""Scoring completers on hidden cells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lib.errors import CvAutomlError, MatrixError
from lib.performance_prediction.table.complete import complete
from lib.performance_prediction.table.evaluate import (
    EvaluationPlan,
    evaluate_files,
    mean_row_spearman,
    measured_on,
    parse_fractions,
    score_completers,
    summarise,
)
from lib.performance_prediction.table.hold_out import random_cells
from lib.performance_prediction.table.score_csv import features_beside
from lib.reporting.score_tables import show_report
from tests.performance_prediction.score_tables import planted, table_of


def test_random_cells_are_so_many_of_the_observed_ones() -> None:
    table, _ = planted()
    hidden = random_cells(table.observed, 100, seed=4)
    assert hidden.sum() == 100
    assert not (hidden & ~table.observed).any()
    assert (hidden != random_cells(table.observed, 100, seed=5)).any()


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
    scores = measured_on(done, values, hidden)
    assert scores["mae"] == pytest.approx(0.9 - np.mean([0.1, 0.2, 0.3, 0.4, 0.5]))
    assert scores["coverage"] == float(done.low[0, 2] <= 0.9 <= done.high[0, 2])


def test_summary_holds_mean_and_deviation_over_seeds() -> None:
    table, _ = planted(12, 10)
    told = []
    results = score_completers(
        "made up", table, EvaluationPlan((0.3,), 3, ("global_mean", "additive")), told.append
    )
    lines = summarise(results)
    assert told == results and len(results) == 6
    assert [line["completer"] for line in lines] == ["global_mean", "additive"]
    errors = [scores.mae for scores in results if scores.completer == "additive"]
    assert lines[1]["mae"] == pytest.approx({"mean": np.mean(errors), "deviation": np.std(errors)})
    assert lines[0]["spearman"]["mean"] is None


PLAN = EvaluationPlan((0.4,), 1, ("global_mean",))


def matrix_in(folder: Path) -> Path:
    path = folder / "scores.csv"
    path.write_text("set,a,b,c\nx,0.1,0.2,0.3\ny,0.4,0.5,0.6\nz,0.7,0.8,0.9\n")
    return path


def test_features_beside_the_table_are_found_under_either_name(tmp_path: Path) -> None:
    matrix = matrix_in(tmp_path)
    assert features_beside(matrix) == (None, None)
    (tmp_path / "scores.features.csv").write_text("set,size\nx,1\n")
    (tmp_path / "scores.model_features.csv").write_text("model,size\na,1\n")
    assert features_beside(matrix) == (
        tmp_path / "scores.features.csv",
        tmp_path / "scores.model_features.csv",
    )
    (tmp_path / "scores.column_features.csv").write_text("model,size\na,1\n")
    assert features_beside(matrix)[1] == tmp_path / "scores.column_features.csv"


def test_features_must_pair_with_the_tables(tmp_path: Path) -> None:
    matrix = matrix_in(tmp_path)
    with pytest.raises(MatrixError, match="given 2 times for 1 matrices"):
        evaluate_files([matrix], [matrix, matrix], (), True, PLAN)


def test_unknown_completer_is_refused_before_anything_is_read() -> None:
    plan = EvaluationPlan((0.4,), 1, ("global_meen",))
    with pytest.raises(CvAutomlError, match="global_mean"):
        evaluate_files([Path("absent.csv")], (), (), True, plan)


@pytest.mark.parametrize("text", ["", "0", "1", "0.3,1.5", "half", "0.3;0.5"])
def test_shares_outside_zero_and_one_are_refused(text: str) -> None:
    with pytest.raises(MatrixError, match="between 0 and 1"):
        parse_fractions(text)


def test_report_names_its_origin_and_prints_a_line_a_completer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = evaluate_files([matrix_in(tmp_path)], (), (), True, PLAN)
    show_report(report)
    printed = capsys.readouterr().out
    assert "scores" in printed and "global_mean" in printed and "40%" in printed
    assert report.circumstances["python"] and set(report.circumstances["libraries"]) >= {"numpy", "implicit"}
    assert len(report.scores) == 1
