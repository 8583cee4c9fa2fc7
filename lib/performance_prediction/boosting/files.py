"""A trained CatBoost on disk: its own `.cbm`, and JSON with the list and version of its features and what it departs from."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from lib.files import replacing, short_hash
from lib.performance_prediction.als.matrix import Effects
from lib.performance_prediction.boosting.booster import Booster, BoosterSetting
from lib.performance_prediction.boosting.contract import Derived
from lib.performance_prediction.boosting.evidence import Evidence
from lib.performance_prediction.boosting.features import PairFacts


class _SavedBooster(Derived):
    """Everything of a Booster but its trees. `trees_hash`: of the `.cbm` it goes with."""

    kind: ClassVar[str] = "quality"

    features: tuple[str, ...]
    trees_hash: str
    domains: tuple[str, ...]
    setting: BoosterSetting
    level: float
    pairs: tuple[PairFacts, ...]
    effects: tuple[float, ...]


class _SavedProbedBooster(_SavedBooster):
    """One that uses known cells."""

    kind = "quality_probed"


def save_booster(booster: Booster, evidence: Evidence, folder: Path) -> list[Path]:
    """Writes the `.cbm` and the `.json` beside it; returns their paths."""
    kind = _SavedProbedBooster if booster.setting.probed else _SavedBooster
    trees = kind.path(folder, evidence).with_suffix(".cbm")
    with replacing(trees) as draft:
        booster.model.save_model(str(draft), format="cbm")
    saved = kind(
        **Derived.stamp(evidence),
        features=booster.features,
        trees_hash=short_hash(trees.read_bytes()),
        domains=evidence.domains,
        setting=booster.setting,
        level=booster.effects.level,
        pairs=tuple(booster.pairs.values()),
        effects=tuple(booster.effects.pairs[pair] for pair in booster.pairs),
    )
    return [trees, saved.save(folder, evidence, indent=1)]


def load_booster(folder: Path, evidence: Evidence, probed: bool = False) -> Booster | None:
    """The saved booster where it was trained on exactly this evidence with these features, and its trees are its own."""
    kind = _SavedProbedBooster if probed else _SavedBooster
    saved, trees = kind.load(folder, evidence), kind.path(folder, evidence).with_suffix(".cbm")
    if saved is None or not are_its_trees(trees, saved.trees_hash):
        return None
    from catboost import CatBoostRegressor

    names = [facts.pair for facts in saved.pairs]
    return Booster(
        model=CatBoostRegressor().load_model(str(trees)),
        setting=saved.setting,
        features=saved.features,
        pairs=dict(zip(names, saved.pairs, strict=True)),
        effects=Effects(saved.level, {}, dict(zip(names, saved.effects, strict=True)), 1),
        metric=saved.metric,
    )


def are_its_trees(trees: Path, trees_hash: str) -> bool:
    """Whether a `.cbm` is there and is the one whose hash the JSON beside it holds."""
    return trees.is_file() and short_hash(trees.read_bytes()) == trees_hash
