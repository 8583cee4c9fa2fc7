"""A trained CatBoost on disk: its own `.cbm`, and JSON with the list and version of its features and what it departs from."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from lib.performance_prediction.boosting.booster import Booster, BoosterSetting
from lib.performance_prediction.boosting.contract import FEATURES_VERSION
from lib.performance_prediction.boosting.evidence import Evidence, Pair
from lib.performance_prediction.boosting.features import PairFacts
from lib.records import BackboneInfo
from lib.records.store import write_atomically


class _SavedPair(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    backbone: BackboneInfo
    head: str
    head_parameters: float
    epochs: int
    embeddings: dict[str, float]
    effect: float


class _SavedBooster(BaseModel):
    """Everything of a Booster but its trees. `digest` names the runs it was trained on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    features_version: int
    features: tuple[str, ...]
    leave_out: tuple[str, ...]
    digest: str
    task: str
    domain: str
    epoch: int
    n_runs: int
    scale: str
    depth: int
    iterations: int
    level: float
    pairs: tuple[_SavedPair, ...]


def booster_stem(folder: Path, task: str, domain: str | None, probed: bool = False) -> Path:
    """Path of a booster's files without their ending; `probed`: of the one that uses landmarks."""
    return folder / f"quality_{'probed_' if probed else ''}{task}_{domain or 'all'}"


def save_booster(booster: Booster, evidence: Evidence, folder: Path) -> list[Path]:
    """Writes `<stem>.cbm` and `<stem>.json`; returns their paths."""
    stem = booster_stem(folder, evidence.task, evidence.domain, "landmarks" not in booster.leave_out)
    folder.mkdir(parents=True, exist_ok=True)
    trees, description = Path(f"{stem}.cbm"), Path(f"{stem}.json")
    temporary = trees.with_name(f".{trees.name}.tmp")
    booster.model.save_model(str(temporary), format="cbm")
    temporary.replace(trees)
    write_atomically(description, _description(booster, evidence).model_dump_json(indent=1) + "\n")
    return [trees, description]


def load_booster(folder: Path, evidence: Evidence, probed: bool = False) -> Booster | None:
    """The saved booster where it was trained on exactly this evidence with these features; else None."""
    stem = booster_stem(folder, evidence.task, evidence.domain, probed)
    try:
        saved = _SavedBooster.model_validate_json(Path(f"{stem}.json").read_bytes())
    except (OSError, ValidationError):
        return None
    trees = Path(f"{stem}.cbm")
    if saved.digest != evidence.digest() or saved.features_version != FEATURES_VERSION or not trees.is_file():
        return None
    return _booster(saved, trees)


def _booster(saved: _SavedBooster, trees: Path) -> Booster | None:
    from catboost import CatBoostError, CatBoostRegressor

    model = CatBoostRegressor()
    try:
        model.load_model(str(trees))
    except CatBoostError:
        return None
    pairs = {
        Pair(p.backbone.name, p.head): PairFacts(
            Pair(p.backbone.name, p.head), p.backbone, p.head_parameters, p.epochs, p.embeddings
        )
        for p in saved.pairs
    }
    return Booster(
        model=model,
        setting=BoosterSetting(saved.scale, saved.depth, saved.iterations),  # type: ignore[arg-type]
        features=saved.features,
        leave_out=saved.leave_out,
        pairs=pairs,
        level=saved.level,
        pair_effects={Pair(p.backbone.name, p.head): p.effect for p in saved.pairs},
    )


def _description(booster: Booster, evidence: Evidence) -> _SavedBooster:
    return _SavedBooster(
        features_version=FEATURES_VERSION,
        features=booster.features,
        leave_out=booster.leave_out,
        digest=evidence.digest(),
        task=evidence.task,
        domain=evidence.domain or "all",
        epoch=evidence.epoch,
        n_runs=len(evidence.runs),
        scale=booster.setting.scale,
        depth=booster.setting.depth,
        iterations=booster.setting.iterations,
        level=booster.level,
        pairs=tuple(
            _SavedPair(
                backbone=facts.backbone,
                head=pair.head,
                head_parameters=facts.head_parameters,
                epochs=facts.epochs,
                embeddings=dict(facts.embeddings),
                effect=booster.pair_effects[pair],
            )
            for pair, facts in booster.pairs.items()
        ),
    )
