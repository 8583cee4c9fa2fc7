"""Reading tables of scores: what is accepted, and the place named in what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lib.errors import CvAutomlError, MatrixError
from lib.performance_prediction.table.score_csv import read_score_table, write_completed
from tests.performance_prediction.score_tables import table_of


def written(folder: Path, text: str | bytes, name: str = "scores.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_empty_cells_and_their_spellings_are_missing(tmp_path: Path) -> None:
    table = read_score_table(written(tmp_path, "set,a,b\nx,0.5,\ny,NA,1\n\n")).table
    assert table.rows == ("x", "y") and table.columns == ("a", "b")
    np.testing.assert_array_equal(table.values, [[0.5, np.nan], [np.nan, 1.0]])


def test_quoted_headers_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    header = "\"{'C': 1, 'kernel': 'rbf'}\""
    text = f"\ufeffset,{header},b\r\n007,0.25,0.5\r\n8,1e-1,\r\n".encode()
    table = read_score_table(written(tmp_path, text)).table
    assert table.columns[0] == "{'C': 1, 'kernel': 'rbf'}"
    assert table.rows == ("007", "8")
    assert table.values[1, 0] == 0.1


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("set,a,b\nx,0.5,1.2\n", "line 2.*row 'x', column 'b' holds 1.2, outside"),
        ("set,a,b\nx,-0.1,1\n", "row 'x', column 'a' holds -0.1"),
        ("set,a,b\nx,inf,1\n", "row 'x', column 'a' holds inf"),
        ("set,a,b\nx,good,1\n", "line 2.*row 'x', column 'a' holds 'good', which is no number"),
        ("set,a,b\nx,1\n", "line 2.*2 cells where the header has 3"),
        ("set,a,b\nx,1,0,1\n", "4 cells where the header has 3"),
        ("set,a,a\nx,1,0\n", "column 'a' appears more than once"),
        ("set,a,b\nx,1,0\nx,1,0\n", "row 'x' appears more than once"),
        ("set,a,\nx,1,0\n", "column 2 has no name"),
        ("set;a;b\nx;0,5;1\n", "row 'x', column 'a' holds '0,5', which is no number"),
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("set,a,b\n", "no rows"),
        ("set\nx\n", "at least one column"),
        ("set,a\nx,\ny,nan\n", "no cell is measured"),
        ('set,a\n"x,1\n', "not valid CSV"),
        (b"set,a\n\xff\xfe,1\n", "not UTF-8"),
    ],
)
def test_faults_are_refused_with_their_place(tmp_path: Path, text: str | bytes, place: str) -> None:
    with pytest.raises(MatrixError, match=place):
        read_score_table(written(tmp_path, text))


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators_of_spreadsheets_are_understood(tmp_path: Path, separator: str) -> None:
    table = read_score_table(written(tmp_path, "set,a,b\nx,0.5,1\n".replace(",", separator))).table
    assert table.columns == ("a", "b") and table.values.tolist() == [[0.5, 1.0]]


def test_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MatrixError, match=r"absent\.csv: cannot be read: No such file"):
        read_score_table(tmp_path / "absent.csv")


def test_features_follow_the_rows_and_strangers_are_reported(tmp_path: Path) -> None:
    matrix = written(tmp_path, "set,a\nx,0.5\ny,0.2\nz,\n")
    features = written(tmp_path, "set,size,kind,size\ny,20,metal,\nx,10,,1\nw,1,a,2\n", "features.csv")
    read = read_score_table(matrix, features)
    frame = read.table.row_features
    assert frame is not None and list(frame) == ["size", "kind", "size (2)"]
    assert frame["size"].tolist()[:2] == [10.0, 20.0] and np.isnan(frame["size"].iloc[2])
    assert frame["kind"].iloc[1] == "metal"
    assert any("'z'" in warning for warning in read.warnings) and any(
        "'w'" in warning for warning in read.warnings
    )


def test_features_of_other_rows_altogether_are_refused(tmp_path: Path) -> None:
    matrix = written(tmp_path, "set,a\nx,0.5\n")
    features = written(tmp_path, "set,size\nq,20\n", "features.csv")
    with pytest.raises(MatrixError, match="no row of the matrix is described"):
        read_score_table(matrix, features)


def test_measured_cells_are_written_to_the_last_digit(tmp_path: Path) -> None:
    values = np.array([[0.1234567890123456, np.nan], [1.0, 0.0]])
    table = table_of(values)
    mean, low, high = np.full((2, 2), 0.5), np.full((2, 2), 0.4), np.full((2, 2), 0.6)
    path = tmp_path / "deep" / "out.csv"
    write_completed(path, table, mean, low, high)
    frame = pd.read_csv(path, float_precision="round_trip")
    assert list(frame) == ["row", "column", "status", "value", "low", "high"]
    assert frame["value"].tolist() == [0.1234567890123456, 0.5, 1.0, 0.0]
    assert frame["status"].tolist() == ["measured", "completed", "measured", "measured"]
    assert frame["low"].tolist() == [0.1234567890123456, 0.4, 1.0, 0.0]
    assert [file.name for file in path.parent.iterdir()] == ["out.csv"]


def test_place_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CvAutomlError, match="--out"):
        write_completed(tmp_path / "file" / "out.csv", table_of(np.ones((1, 1))), *[np.ones((1, 1))] * 3)
