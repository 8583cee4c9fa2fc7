"""By which version and on which day a page was made."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from importlib.metadata import PackageNotFoundError, version


@dataclass(frozen=True)
class Made:
    """What the foot of a page says."""

    version: str
    on: str


def made() -> Made:
    """Now, by the installed version."""
    try:
        return Made(version("cv-automl"), date.today().isoformat())
    except PackageNotFoundError:
        return Made("(not installed)", date.today().isoformat())
