"""`fit.json` as a page needs it: keys that are missing are empty, what is no summary of a fit is refused in one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from lib.errors import CvAutomlError

SUMMARY = "fit.json"


class _Loose(BaseModel):
    """Keys that are missing are empty, keys that nobody knows are left aside."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Step(_Loose):
    """One thing that was done; `seconds` since the start."""

    seconds: float | None = None
    pair: str = ""
    what: str = ""
    quality: float | None = None
    low: float | None = None
    high: float | None = None
    best_so_far: float | None = None


class Chosen(_Loose):
    """What was handed over, and why."""

    pair: str = ""
    members: list[Any] = []
    settings: Any = None
    reason: str = ""
    validation: Any = None
    equals: list[Any] = []


class Tested(_Loose):
    """The one measurement on the test part."""

    metric: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n_test: int | None = None
    per_class: dict[str, dict[str, float | None]] = {}
    confusion: list[list[int]] = []
    classes: list[str] = []


class Looks(_Loose):
    """Images worth a second look."""

    rows: list[dict[str, Any]] = []
    picture: str = ""
    at_stake: Any = None


class Fit(_Loose):
    """`fit.json`, as far as the page shows it."""

    data_set: dict[str, Any] = {}
    problems: list[str] = []
    warnings: list[str] = []
    predicted: list[dict[str, Any]] = []
    journal: list[Step] = []
    stopped: str = ""
    interrupted: bool = False
    chosen: Chosen = Chosen()
    test: Tested = Tested()
    costs: dict[str, Any] = {}
    second_look: Looks = Looks()
    calibration: dict[str, Any] = {}
    commands: list[str] = Field(default=[])
    versions: dict[str, Any] = {}

    @field_validator("predicted", mode="before")
    @classmethod
    def _rows(cls, value: Any) -> Any:
        return value.get("candidates", []) if isinstance(value, dict) else value or []

    @field_validator("*", mode="before")
    @classmethod
    def _none_is_missing(cls, value: Any, info: Any) -> Any:
        return cls.model_fields[info.field_name].get_default() if value is None else value

    @property
    def name(self) -> str:
        """Of the data set."""
        facts = self.data_set.get("facts") or self.data_set
        return str(facts.get("name") or "the folder")


def read_fit(path: Path) -> Fit:
    """The summary of a fit; raises CvAutomlError, naming the field, where it is none."""
    try:
        return Fit.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise CvAutomlError(
            f"{path}: cannot be read: {error.strerror}; `scripts/fit.py` writes it"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise CvAutomlError(f"{path}: {place}: {first['msg']}; run `scripts/fit.py` again") from error
    except (ValueError, AttributeError) as error:
        raise CvAutomlError(f"{path}: no JSON of a fit: {error}; run `scripts/fit.py` again") from error
