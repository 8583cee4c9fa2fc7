"""What lies in the project's folders and is not sound: records, caches and models that are broken, foreign or stale."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lib.config import Settings
from lib.errors import CvAutomlError
from lib.features.meta import META_FEATURES_VERSION
from lib.records import DataSetFacts, RecordStore, RunRecord
from lib.records.store import FACTS_FILE

if TYPE_CHECKING:
    from lib.performance_prediction.boosting.contract import Derived

State = Literal["broken", "foreign", "stale"]
ANEW = "the next sweep over its cell measures it anew"
EMPTY = "costs only computing it again"
TRAIN = "`boosting.py evaluate` makes it anew"


@dataclass(frozen=True)
class Finding:
    """One file that is not sound, in one of the settings' folders; `needs`: what mends it."""

    state: State
    path: Path
    problem: str
    needs: str


def examine(settings: Settings) -> list[Finding]:
    """Every unsound file of the folders of runs, caches and derived results, by path."""
    store = RecordStore(settings.runs_dir)
    records, broken = store.read_all()
    facts, broken_facts = store.read_facts()
    found = [Finding("broken", one.path, one.reason, ANEW) for one in (*broken, *broken_facts)]
    found += [*_stale_records(store, records), *_stale_facts(store, facts), *_foreign(settings.runs_dir)]
    found += [*_caches(settings.cache_dir), *_models(settings, records, facts)]
    return sorted(found, key=lambda one: str(one.path))


def move_aside(findings: Sequence[Finding], settings: Settings, to: Path) -> None:
    """Moves each file into `to`, below the name of the folder it was in; raises CvAutomlError where something lies there."""
    for folder in (settings.runs_dir, settings.cache_dir, settings.out_dir):
        for path in (one.path for one in findings if one.path.is_relative_to(folder)):
            target = to / folder.name / path.relative_to(folder)
            if target.exists():
                raise CvAutomlError(f"{target} exists already; name another folder with --move-to")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(path, target)


def _stale_records(store: RecordStore, records: Sequence[RunRecord]) -> Iterator[Finding]:
    from lib.zoo.heads import HEADS

    for record in records:
        name, version = record.head.name, record.head.version
        if name not in HEADS:
            yield Finding(
                "stale",
                store.path_of(record),
                f"there is no head '{name}' any more",
                "nothing: it is left out",
            )
        elif version != (now := HEADS[name].version):
            problem = f"written by version {version} of head '{name}', now {now}"
            yield Finding("stale", store.path_of(record), problem, ANEW)


def _stale_facts(store: RecordStore, facts: dict[str, DataSetFacts]) -> Iterator[Finding]:
    for name, one in facts.items():
        if one.meta_features_version != META_FEATURES_VERSION:
            problem = f"meta-features of version {one.meta_features_version}, now {META_FEATURES_VERSION}"
            needs = f"`zoo.py run --dataset {name}` writes them anew"
            yield Finding("stale", store.folder / name / FACTS_FILE, problem, needs)


def _foreign(runs_dir: Path) -> Iterator[Finding]:
    for path in sorted(runs_dir.rglob("*")) if runs_dir.is_dir() else ():
        is_record = (
            path.suffix == ".json" and path.parent.parent == runs_dir and not path.name.startswith(".")
        )
        if path.is_file() and not is_record and path.name != "README.md":
            yield Finding("foreign", path, "no run record", "nothing: it is never read")


def _caches(cache_dir: Path) -> Iterator[Finding]:
    for path in sorted(cache_dir.rglob("*")) if cache_dir.is_dir() else ():
        if path.is_file() and (problem := _cache_problem(path)):
            yield Finding("foreign" if problem.startswith("left") else "broken", path, problem, EMPTY)


def _cache_problem(path: Path) -> str:
    if path.suffix == ".tmp":
        return "left behind by a process that was killed"
    try:
        if path.suffix == ".safetensors":
            from safetensors import safe_open

            with safe_open(path, framework="numpy") as file:
                file.keys()
        elif path.suffix == ".json":
            json.loads(path.read_bytes())
    except Exception as error:  # whatever a torn file makes a reader say
        return " ".join(str(error).split())[:200] or type(error).__name__
    return ""


def _models(
    settings: Settings, records: Sequence[RunRecord], facts: dict[str, DataSetFacts]
) -> Iterator[Finding]:
    for path in sorted(settings.out_dir.glob("*.json")):
        if found := _model_problem(path, settings, records, facts):
            yield Finding(found[0], path, found[1], TRAIN)
    for trees in sorted(settings.out_dir.glob("*.cbm")):
        if not trees.with_suffix(".json").is_file():
            yield Finding("foreign", trees, "no .json beside it says what it learnt from", TRAIN)


def _model_problem(
    path: Path, settings: Settings, records: Sequence[RunRecord], facts: dict[str, DataSetFacts]
) -> tuple[State, str] | None:
    from lib.performance_prediction.boosting.contract import Derived
    from lib.performance_prediction.boosting.files import are_its_trees

    try:
        saved = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        return "broken", str(error)
    if not isinstance(saved, dict):
        return "broken", "no JSON object"
    trees = path.with_suffix(".cbm")
    if (own := saved.get("trees_hash")) and not are_its_trees(trees, own):
        return "broken", f"{trees.name} is not its own"
    if "digest" not in saved:
        return None
    try:
        derived = Derived(**{name: saved.get(name) for name in Derived.model_fields})
    except ValueError as error:
        return "broken", " ".join(str(error).split())[:200]
    problem = _outdated(derived, Derived.domains_of(path, derived.metric), settings, records, facts)
    return ("stale", problem) if problem else None


def _outdated(
    saved: Derived,
    domains: tuple[str, ...],
    settings: Settings,
    records: Sequence[RunRecord],
    facts: dict[str, DataSetFacts],
) -> str:
    from lib.performance_prediction.boosting.contract import FEATURES_VERSION
    from lib.performance_prediction.boosting.evidence import gather_evidence

    related = settings.related_data_sets
    try:
        evidence = gather_evidence(records, saved.epoch, domains, saved.task, related, saved.metric, facts)
    except CvAutomlError as error:
        return str(error)
    if saved.is_fresh(evidence):
        return ""
    other_features = saved.features_version != FEATURES_VERSION
    return (
        "predictors are told other features now"
        if other_features
        else "runs, facts or families changed since"
    )
