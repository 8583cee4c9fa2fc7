"""`als.py evaluate` around the numbers: which features are used, what is refused, what the report says of its origin."""

from __future__ import annotations

from pathlib import Path

import pytest

from lib.errors import CvAutomlError, MatrixError
from lib.performance_prediction.table.evaluate import EvaluationPlan
from lib.reporting.completion_evaluation import (
    circumstances,
    evaluate_files,
    features_beside,
    parse_fractions,
    show_report,
)

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
    assert report.circumstances.python and set(circumstances().libraries) >= {"numpy", "implicit"}
    assert len(report.scores) == 1
