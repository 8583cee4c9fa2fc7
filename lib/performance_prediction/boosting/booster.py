"""CatBoost on top of additive effects: it predicts how far a pair on this data set departs from what pairs reach on average."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from lib.errors import TooLittleDataError
from lib.performance_prediction.als.matrix import family_weights, fit_effects
from lib.performance_prediction.boosting.contract import (
    CATBOOST,
    CATBOOST_PROBED,
    SET_PREDICTORS,
    Facts,
    FittedSetPredictor,
    Floats,
    SetPredictor,
    chance_level,
    unlift,
)
from lib.performance_prediction.boosting.evidence import Cell, Evidence, Pair
from lib.performance_prediction.boosting.features import (
    CATEGORICAL_FEATURES,
    TEXT_FEATURES,
    PairFacts,
    feature_frame,
    pair_facts,
)
from lib.performance_prediction.boosting.rivals import lifted_cells, room_above_chance
from lib.records import DataSetFacts

if TYPE_CHECKING:
    import pandas as pd
    from catboost import CatBoostRegressor, Pool

Scale = Literal["quality", "lift"]

INNER_FOLDS = 4
LEARNING_RATE = 0.06
BORDERS = 32  # thresholds a feature is tried at: it has as many values as there are data sets
FEATURE_SHARE = (
    0.5  # of the features each level of a tree may choose from: dozens describe a handful of data sets
)


@dataclass(frozen=True)
class BoosterSetting:
    """Scale on which departures are predicted, depth and number of trees, groups of features that are not looked at.

    Few data sets support only small trees, and what describes them is easily learnt by heart.
    """

    scale: Scale
    depth: int
    iterations: int
    leave_out: tuple[str, ...] = ()


SETTINGS = (
    BoosterSetting("lift", 2, 60),
    BoosterSetting("lift", 2, 60, ("text",)),
    BoosterSetting("lift", 4, 120, ("text",)),
    BoosterSetting("quality", 2, 60),
)
PROBED_SETTINGS = (
    BoosterSetting("lift", 2, 60),
    BoosterSetting("lift", 4, 120, ("text",)),
    BoosterSetting("lift", 2, 60, ("text", "data_set")),
    BoosterSetting("lift", 4, 120, ("text", "data_set")),
)


@dataclass(frozen=True)
class Booster(FittedSetPredictor):
    """A fitted CatBoost and what it needs to predict: feature names, pairs' facts, and the effects it departs from."""

    model: CatBoostRegressor
    setting: BoosterSetting
    features: tuple[str, ...]
    leave_out: tuple[str, ...]
    pairs: Mapping[Pair, PairFacts]
    level: float
    pair_effects: Mapping[Pair, float]

    def predict(self, facts: DataSetFacts, pairs: Sequence[Pair]) -> Floats:
        chance = chance_level(facts) if self.setting.scale == "lift" else 0.0
        base = np.array([self.level + self.pair_effects.get(pair, 0.0) for pair in pairs])
        known = [i for i, pair in enumerate(pairs) if pair in self.pairs]
        if known:
            base[known] += np.asarray(self.model.predict(self.pool(facts, [pairs[i] for i in known])))
        return np.clip(unlift(base, chance), 0.0, 1.0)

    def frame(self, facts: DataSetFacts, pairs: Sequence[Pair]) -> pd.DataFrame:
        """Features of pairs that the booster knows, one line each."""
        return feature_frame([(facts, self.pairs[pair]) for pair in pairs], self.leave_out, self.features)

    def pool(self, facts: DataSetFacts, pairs: Sequence[Pair]) -> Pool:
        """The same as CatBoost takes it."""
        return as_pool(self.frame(facts, pairs))


@SET_PREDICTORS.register(CATBOOST)
@dataclass(frozen=True)
class CatBoostPredictor(SetPredictor):
    """CatBoost with settings chosen by leaving whole families out of the training evidence.

    `leave_out`: groups of features not used; landmarks are not, because a folder that was not probed has none. `settings`: what is chosen from; one alone is simply used.
    """

    leave_out: tuple[str, ...] = ("landmarks",)
    settings: tuple[BoosterSetting, ...] = SETTINGS

    def fit(self, evidence: Evidence, facts: Facts, seed: int = 0) -> Booster:
        """Raises TooLittleDataError where no run's data set has facts."""
        setting = self.settings[0]
        families = sorted({cell.family for cell in evidence.cells})
        if len(self.settings) > 1 and len(families) > 2:
            folds = _family_folds(families, seed)
            setting = min(self.settings, key=lambda s: self._held_out_error(evidence, facts, s, folds, seed))
        return fit_booster(evidence, facts, setting, self.leave_out, seed)

    def _held_out_error(
        self, evidence: Evidence, facts: Facts, setting: BoosterSetting, folds: list[set[str]], seed: int
    ) -> float:
        errors = [
            _family_error(
                fit_booster(evidence.without(fold), facts, setting, self.leave_out, seed), cells, facts
            )
            for fold in folds
            if (cells := [cell for cell in evidence.cells if cell.family in fold])
        ]
        return float(np.mean(errors))


@SET_PREDICTORS.register(CATBOOST_PROBED)
@dataclass(frozen=True)
class ProbedCatBoostPredictor(CatBoostPredictor):
    """The same with landmarks among its features: for folders that were probed."""

    leave_out: tuple[str, ...] = ()
    settings: tuple[BoosterSetting, ...] = PROBED_SETTINGS


def fit_booster(
    evidence: Evidence, facts: Facts, setting: BoosterSetting, leave_out: Collection[str] = (), seed: int = 0
) -> Booster:
    """One CatBoost on cells (seeds of one pair on one set averaged: the same squared loss as one row a run).

    Every family weighs the same. Embeddings come from this evidence alone.
    """
    from catboost import CatBoostRegressor

    cells = [cell for cell in evidence.cells if cell.data_set in facts]
    if not cells:
        raise TooLittleDataError(
            "no data set with runs has meta-features (dataset.json beside its runs): run the zoo again"
        )
    targets = lifted_cells(cells, facts) if setting.scale == "lift" else cells
    importance = room_above_chance(cells, facts) if setting.scale == "lift" else {}
    effects = fit_effects(targets, importance)
    known = pair_facts(evidence)
    leave_out = tuple(sorted({*leave_out, *setting.leave_out}))
    frame = feature_frame([(facts[cell.data_set], known[cell.pair]) for cell in cells], leave_out)
    departures = [t.quality - effects.level - effects.pairs[t.pair] for t in targets]
    model = CatBoostRegressor(
        depth=setting.depth,
        iterations=setting.iterations,
        learning_rate=LEARNING_RATE,
        rsm=FEATURE_SHARE,
        boosting_type="Plain",
        border_count=BORDERS,
        random_seed=seed,
        thread_count=1,
        verbose=False,
        allow_writing_files=False,
    )
    model.fit(as_pool(frame, departures, _weights(cells, importance)))
    return Booster(
        model=model,
        setting=setting,
        features=tuple(frame.columns),
        leave_out=leave_out,
        pairs=known,
        level=effects.level,
        pair_effects=effects.pairs,
    )


def as_pool(
    frame: pd.DataFrame, labels: Sequence[float] | None = None, weights: Floats | None = None
) -> Pool:
    """The frame as CatBoost takes it, with its categorical and text columns named."""
    from catboost import Pool

    return Pool(
        frame,
        labels,
        weight=weights,
        cat_features=[name for name in CATEGORICAL_FEATURES if name in frame],
        text_features=[name for name in TEXT_FEATURES if name in frame],
    )


def _weights(cells: Sequence[Cell], importance: Mapping[str, float]) -> Floats:
    set_weights = family_weights({cell.data_set: cell.family for cell in cells})
    sizes = {name: sum(cell.data_set == name for cell in cells) for name in set_weights}
    weights = np.array(
        [set_weights[c.data_set] / sizes[c.data_set] * importance.get(c.data_set, 1.0) for c in cells]
    )
    return weights / weights.mean()


def _family_folds(families: Sequence[str], seed: int) -> list[set[str]]:
    shuffled = np.random.default_rng(seed).permutation(families)
    return [set(part.tolist()) for part in np.array_split(shuffled, min(INNER_FOLDS, len(families)))]


def _family_error(booster: Booster, cells: Sequence[Cell], facts: Facts) -> float:
    """Mean over families of the mean absolute error over their cells."""
    by_family: dict[str, list[float]] = {}
    for name in {cell.data_set for cell in cells if cell.data_set in facts}:
        of_set = [cell for cell in cells if cell.data_set == name]
        predicted = booster.predict(facts[name], [cell.pair for cell in of_set])
        errors = np.abs(predicted - [cell.quality for cell in of_set])
        by_family.setdefault(of_set[0].family, []).append(float(errors.mean()))
    return float(np.mean([np.mean(errors) for errors in by_family.values()]))
