"""What all scripts share: one-sentence errors, exit codes, JSON without NaN."""

import json
import math
from pathlib import Path

import click
import numpy as np
import pytest

from lib.command_line import echo_json, names_of, run_command
from lib.errors import DataSetError


def _run(
    body: object, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> tuple[int, str]:
    monkeypatch.setattr("sys.argv", ["script"])
    with pytest.raises(SystemExit) as stop:
        run_command(click.Command("script", callback=body))  # type: ignore[arg-type]
    return int(stop.value.code or 0), capsys.readouterr().err


def test_bad_input_is_one_sentence_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def body() -> None:
        raise DataSetError("train.csv, line 3: expected two numbers")

    assert _run(body, capsys, monkeypatch) == (2, "error: train.csv, line 3: expected two numbers\n")


def test_a_folder_that_cannot_be_written_is_named_without_a_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def body() -> None:
        raise PermissionError(13, "Permission denied", "/locked/runs")

    code, text = _run(body, capsys, monkeypatch)
    assert code == 2 and text.startswith("error: /locked/runs: Permission denied") and text.count("\n") == 1


def test_a_command_that_exits_with_a_code_keeps_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def body() -> None:
        click.get_current_context().exit(3)

    assert _run(body, capsys, monkeypatch)[0] == 3


def test_an_interruption_says_what_is_kept(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def body() -> None:
        raise KeyboardInterrupt

    code, text = _run(body, capsys, monkeypatch)
    assert code == 130 and "kept" in text


def test_json_holds_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    echo_json({"a": math.nan, "b": np.array([1.0, np.inf]), "c": np.int64(3), "d": ("x",)})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [1.0, None], "c": 3, "d": ["x"]}


def test_lists_may_be_comma_separated_and_repeated_and_count_once() -> None:
    assert names_of(("a,b", "c", " a , d ,")) == ("a", "b", "c", "d")


def test_an_existing_path_with_a_comma_stays_whole(tmp_path: Path) -> None:
    folder = tmp_path / "steel, hot rolled"
    folder.mkdir()
    assert names_of((str(folder),)) == (str(folder),)
