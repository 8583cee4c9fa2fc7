"""The page of one fit: what was asked, what was tried, what was chosen and why, how good it is, what to look at again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from lib.errors import CvAutomlError
from lib.features.fact_sheet import FactSheet
from lib.page.charts import Chart, Drawing, Mark, Series, drawing
from lib.page.confusions import confusion_view
from lib.page.made import made
from lib.page.ranges import RankedLine, candidate_line, scale_of
from lib.page.rendering import count, picture_source, write_page
from lib.page.set_views import SetView, set_view
from lib.records import RecordStore
from lib.reporting.data_set_tables import sheet_rows
from lib.reporting.tables import readable_seconds, shown

SUMMARY, PAGE, RECORDS = "fit.json", "report.html", "records"
MOST_PREDICTED, MOST_LOOKS = 10, 30


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


def write_fit_page(out: Path) -> Path:
    """Makes `out`/report.html from `out`/fit.json and the records in `out`/records; returns its path.

    Raises CvAutomlError where fit.json is missing or no summary of a fit, or the page cannot be written.
    """
    fit = read_fit(out / SUMMARY)
    lines = [candidate_line(row) for row in fit.predicted[:MOST_PREDICTED]]
    view = _records(out)
    return write_page(
        out / PAGE,
        "fit.html",
        fit=fit,
        places=_places(fit, lines, view),
        facts=_facts(fit),
        conclusions=_conclusions(fit),
        chosen=_chosen(fit.chosen),
        members=_members(fit.chosen),
        costs=_costs(fit.costs),
        versions=_sheet(fit.versions),
        lines=lines,
        scale=scale_of(lines),
        tested=_tested_line(fit.test),
        journal=_journal(fit),
        confusion=confusion_view(fit.chosen.pair or "the model", fit.test.classes, fit.test.confusion),
        looks=fit.second_look.rows[:MOST_LOOKS],
        picture=_picture(out, fit.second_look.picture),
        view=view,
        words=words,
        made=made(),
    )


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


def words(value: Any) -> str:
    """Any plain value in words.

    >>> words({"epochs": 5, "loss": ["a", "b"], "rate": 0.00012345})
    'epochs 5, loss a, b, rate 0.000123'
    """
    if isinstance(value, Mapping):
        return ", ".join(f"{str(name).replace('_', ' ')} {words(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(words, value))
    if isinstance(value, float):
        return f"{value:.3g}"
    return "—" if value is None else str(value)


def _places(fit: Fit, lines: list[RankedLine], view: SetView | None) -> list[tuple[str, str]]:
    """The sections that the page has."""
    sections = [
        ("result", "Result", True),
        ("classes", "By class", fit.test.per_class or fit.test.confusion),
        ("looks", "Second look", fit.second_look.rows),
        ("journal", "What was tried", fit.journal),
        ("expected", "What was expected", lines),
        ("runs", "Runs", view),
        ("facts", "Fact sheet", fit.data_set),
        ("made", "How it was made", True),
    ]
    return [(place, name) for place, name, there in sections if there]


def _facts(fit: Fit) -> list[tuple[str, str]]:
    known = {name: value for name, value in fit.data_set.items() if name in FactSheet.model_fields}
    try:
        return [*sheet_rows(FactSheet.model_validate(known)).items()]
    except ValidationError:  # the facts alone, or written by another version: what is plain in them
        facts = fit.data_set.get("facts") or fit.data_set
        return _sheet({name: one for name, one in facts.items() if name != "meta_features" and one})


def _sheet(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values in words; what is one level deeper stands beside the rest."""
    rows: list[tuple[str, str]] = []
    for name, value in values.items():
        rows += _sheet(value) if isinstance(value, Mapping) else [(str(name).replace("_", " "), words(value))]
    return rows


def _conclusions(fit: Fit) -> list[str]:
    """Of the fact sheet, without those that are told as problems."""
    analysis = fit.data_set.get("analysis") or {}
    return [str(one) for one in analysis.get("conclusions") or () if one not in fit.problems]


def _chosen(chosen: Chosen) -> list[tuple[str, str]]:
    """What is known of the model besides its members, in words."""
    validation = chosen.validation
    if isinstance(validation, Mapping) and {"value", "low", "high"} <= validation.keys():
        ends = " to ".join(shown(validation[end], "{:.3f}") for end in ("low", "high"))
        validation = f"{validation.get('metric', '')} {shown(validation['value'], '{:.3f}')} ({ends})".strip()
    rows = {
        "on the validation parts": validation,
        "settings": chosen.settings,
        "cannot be told from it": chosen.equals,
    }
    return [(name, words(value)) for name, value in rows.items() if value]


def _members(chosen: Chosen) -> list[tuple[str, str]]:
    """Name and settings of each network of the model."""
    rows = []
    for one in chosen.members:
        if not isinstance(one, Mapping):
            rows.append((words(one), ""))
            continue
        rest = {
            name: value for name, value in one.items() if name not in ("backbone", "head", "pair") and value
        }
        pair = one.get("pair") or f"{one.get('backbone', '?')} × {one.get('head', '?')}"
        rows.append((words(pair), words(rest)))
    return rows


def _costs(costs: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Costs with their units, by how their names end."""
    return [_cost(name, value) for name, value in costs.items()]


def _cost(name: str, value: Any) -> tuple[str, str]:
    stem, _, unit = str(name).rpartition("_")
    if not isinstance(value, int | float):
        return str(name).replace("_", " "), words(value)
    if unit == "ms":
        return stem.replace("_", " "), f"{value:.1f} ms"
    if unit == "bytes":
        return stem.replace("_", " "), f"{value / 1e6:.1f} MB"
    if unit in ("s", "seconds"):
        return stem.replace("_", " ") or "took", readable_seconds(value)
    return str(name).replace("_", " "), count(value)


def _tested_line(test: Tested) -> RankedLine | None:
    if test.value is None:
        return None
    return RankedLine("", test.value, test.low, test.high, "measured")


def _journal(fit: Fit) -> Drawing | None:
    """Quality of what was tried, and the best so far, over the seconds."""
    timed = [step for step in fit.journal if step.seconds is not None]
    tried = [_mark(step, step.quality) for step in timed if step.quality is not None]
    best = [_mark(step, step.best_so_far) for step in timed if step.best_so_far is not None]
    title = "Quality on the validation parts, as time went by"
    series = (
        Series("best so far", tuple(best), joined=True, marked=False, stepped=True),
        Series("tried", tuple(tried)),
    )
    return drawing(Chart(title, "seconds", fit.test.metric or "quality", series))


def _mark(step: Step, quality: float) -> Mark:
    ends = "" if step.low is None or step.high is None else f" ({step.low:.3f} to {step.high:.3f})"
    label = f"{step.pair}: {shown(step.quality)}{ends}\n{step.what} after {step.seconds:.0f} s"
    return Mark(step.seconds or 0.0, quality, label)


def _picture(out: Path, name: str) -> str | None:
    """The contact sheet; a name that leads out of the folder is none of its pictures."""
    file = out / Path(name).name
    return picture_source(file, 1800) if name and file.is_file() else None


def _records(out: Path) -> SetView | None:
    records, _ = RecordStore(out / RECORDS).read_all()
    if not records:
        return None
    name = max({r.data_set.name for r in records}, key=[r.data_set.name for r in records].count)
    return set_view(0, [record for record in records if record.data_set.name == name], None)
