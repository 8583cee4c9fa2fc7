"""A trained CatBoost on disk: its own `.cbm`, and JSON with the list and version of its features and what it departs from."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import ValidationError

from lib.files import replacing, write_atomically
from lib.frozen import Frozen
from lib.performance_prediction.als.matrix import Effects
from lib.performance_prediction.boosting.booster import Booster, BoosterSetting
from lib.performance_prediction.boosting.contract import FEATURES_VERSION, derived_path
from lib.performance_prediction.boosting.evidence import Evidence
from lib.performance_prediction.boosting.features import PairFacts
from lib.records.schema import Metric


class _SavedBooster(Frozen):
    """Everything of a Booster but its trees. `digest`: of the evidence it was trained on; `trees_hash`: of the `.cbm` it goes with."""

    features_version: int
    features: tuple[str, ...]
    digest: str
    trees_hash: str
    task: str
    metric: Metric
    domains: tuple[str, ...]
    epoch: int
    n_runs: int
    setting: BoosterSetting
    level: float
    pairs: tuple[PairFacts, ...]
    effects: tuple[float, ...]


def _kind(probed: bool) -> str:
    return "quality_probed" if probed else "quality"


def save_booster(booster: Booster, evidence: Evidence, folder: Path) -> list[Path]:
    """Writes the `.cbm` and the `.json` beside it; returns their paths."""
    trees, description = (
        derived_path(folder, _kind(booster.probed), evidence, suffix) for suffix in (".cbm", ".json")
    )
    with replacing(trees) as draft:
        booster.model.save_model(str(draft), format="cbm")
    write_atomically(description, _description(booster, evidence, trees).model_dump_json(indent=1) + "\n")
    return [trees, description]


def load_booster(folder: Path, evidence: Evidence, probed: bool = False) -> Booster | None:
    """The saved booster where it was trained on exactly this evidence with these features, and its trees are its own."""
    path = derived_path(folder, _kind(probed), evidence, ".json")
    try:
        saved = _SavedBooster.model_validate_json(path.read_bytes())
        trees = path.with_suffix(".cbm").read_bytes()
    except (OSError, ValidationError):
        return None
    fresh = saved.digest == evidence.digest() and saved.features_version == FEATURES_VERSION
    return _booster(saved, trees) if fresh and saved.trees_hash == _hash(trees) else None


def _booster(saved: _SavedBooster, trees: bytes) -> Booster:
    from catboost import CatBoostRegressor

    names = [facts.pair for facts in saved.pairs]
    return Booster(
        model=CatBoostRegressor().load_model(blob=trees),
        setting=saved.setting,
        features=saved.features,
        pairs=dict(zip(names, saved.pairs, strict=True)),
        effects=Effects(saved.level, {}, dict(zip(names, saved.effects, strict=True)), 1),
        metric=saved.metric,
    )


def _description(booster: Booster, evidence: Evidence, trees: Path) -> _SavedBooster:
    return _SavedBooster(
        features_version=FEATURES_VERSION,
        features=booster.features,
        digest=evidence.digest(),
        trees_hash=_hash(trees.read_bytes()),
        task=evidence.task,
        metric=evidence.metric,
        domains=evidence.domains,
        epoch=evidence.epoch,
        n_runs=len(evidence.runs),
        setting=booster.setting,
        level=booster.effects.level,
        pairs=tuple(booster.pairs.values()),
        effects=tuple(booster.effects.pairs[pair] for pair in booster.pairs),
    )


def _hash(trees: bytes) -> str:
    return hashlib.sha256(trees).hexdigest()[:16]
