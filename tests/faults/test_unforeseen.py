"""What nobody foresaw ends in one sentence and exit code 70; the traceback is kept for those who ask for it."""

from __future__ import annotations

import click
import pytest

from lib.command_line import run_command


def crash(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int:
    def body() -> None:
        raise error

    monkeypatch.setattr("sys.argv", ["script"])
    with pytest.raises(SystemExit) as stop:
        run_command(click.Command("script", callback=body))
    return int(stop.value.code or 0)


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("a / b"), KeyError("x"), RecursionError(), AssertionError("not so")]
)
def test_a_bug_is_one_sentence(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CVAUTOML_DEBUG", raising=False)
    assert crash(monkeypatch, error) == 70
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and type(error).__name__ in said and "CVAUTOML_DEBUG=1" in said


def test_the_traceback_is_shown_to_those_who_ask(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CVAUTOML_DEBUG", "1")
    assert crash(monkeypatch, ZeroDivisionError("a / b")) == 70
    assert "Traceback" in capsys.readouterr().err
