"""A script run in this process as `python scripts/<name>.py …` runs it."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


def run_script(
    monkeypatch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str], name: str, *arguments: object
) -> tuple[int, str, str]:
    """Exit code, standard output and standard error; what was captured before is thrown away."""
    script = str(SCRIPTS / f"{name}.py")
    monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
    capture.readouterr()
    code = 0
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as stop:
        code = int(stop.code or 0)
    said = capture.readouterr()
    return code, said.out, said.err
