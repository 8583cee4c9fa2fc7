"""CatBoost on top of additive effects: it predicts how far a pair on this data set departs from what pairs reach on average."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from lib.errors import TooLittleDataError
from lib.performance_prediction.als.matrix import Effects, family_weights, fit_effects
from lib.performance_prediction.boosting.cells import Cell, Pair
from lib.performance_prediction.boosting.contract import (
    PROBE_PAIRS,
    SET_PREDICTORS,
    FittedSetPredictor,
    Floats,
    Known,
    KnownCells,
    Regime,
    SetPredictor,
    chance_level,
    unlift,
)
from lib.performance_prediction.boosting.evidence import Evidence
from lib.performance_prediction.boosting.features import (
    CATEGORICAL_FEATURES,
    TEXT_FEATURES,
    PairFacts,
    Row,
    feature_frame,
    pair_facts,
)
from lib.performance_prediction.boosting.rivals import expected, lifted_cells, room_above_chance, shift_of
from lib.records import DataSetFacts
from lib.records.schema import Metric

if TYPE_CHECKING:
    import pandas as pd
    from catboost import CatBoostRegressor, Pool

Scale = Literal["quality", "lift"]

INNER_FOLDS = 3
LEARNING_RATE = 0.06
BORDERS = 32  # thresholds a feature is tried at: it has as many values as there are data sets
FEWEST_OCCURRENCES = 50  # of a word in a text column, before CatBoost looks at it
FEATURE_SHARE = 0.5  # of the features each level of a tree may use: dozens describe a handful of data sets


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
    BoosterSetting("lift", 2, 60, ("known",)),
    BoosterSetting("lift", 4, 120, ("known", "text")),
    BoosterSetting("quality", 2, 60, ("known",)),
)
PROBED_SETTINGS = (
    BoosterSetting("quality", 2, 60, ("text",)),
    BoosterSetting("quality", 4, 120, ("text",)),
    BoosterSetting("quality", 4, 120, ("text", "data_set")),
)


@dataclass(frozen=True)
class Booster(FittedSetPredictor):
    """A fitted CatBoost and what it needs to predict: feature names, pairs' facts, and the effects it departs from."""

    model: CatBoostRegressor
    setting: BoosterSetting
    features: tuple[str, ...]
    pairs: Mapping[Pair, PairFacts]
    effects: Effects
    metric: Metric

    @property
    def probed(self) -> bool:
        """Whether it learnt to use known cells."""
        return "known" not in self.setting.leave_out

    def predict(self, facts: DataSetFacts, pairs: Sequence[Pair], known: KnownCells) -> Floats:
        known = known if self.probed else {}
        chance = chance_level(facts, self.metric) if self.setting.scale == "lift" else 0.0
        base = np.array([expected(self.effects, pair) for pair in pairs]) + shift_of(self.effects, known)
        learnt = [i for i, pair in enumerate(pairs) if pair in self.pairs]
        if learnt:
            pool = self.pool(facts, [pairs[i] for i in learnt], known)
            base[learnt] += np.asarray(self.model.predict(pool))
        return np.clip(unlift(base, chance), 0.0, 1.0)

    def frame(self, facts: DataSetFacts, pairs: Sequence[Pair], known: KnownCells) -> pd.DataFrame:
        """Features of pairs that the booster knows, one line each."""
        said = known_features(self.effects, known)
        rows = [Row(facts, self.pairs[pair], said) for pair in pairs]
        return feature_frame(rows, self.setting.leave_out, self.features)

    def pool(self, facts: DataSetFacts, pairs: Sequence[Pair], known: KnownCells) -> Pool:
        """The same as CatBoost takes it."""
        return _as_pool(self.frame(facts, pairs, known))


@SET_PREDICTORS.register("catboost")
@dataclass(frozen=True)
class CatBoostPredictor(SetPredictor):
    """CatBoost with settings chosen by leaving whole families out of the training evidence; one setting is simply used."""

    settings: tuple[BoosterSetting, ...] = SETTINGS
    regimes: ClassVar[tuple[Regime, ...]] = ("unseen",)
    simplicity: ClassVar[int] = 30

    def fit(self, evidence: Evidence, seed: int = 0) -> Booster:
        """Raises TooLittleDataError where no run's data set has facts."""
        families = sorted({cell.family for cell in evidence.cells})
        if len(self.settings) == 1 or len(families) < 3:
            return fit_booster(evidence, self.settings[0], seed)
        shuffled = np.random.default_rng(seed).permutation(families)
        folds = [set(part.tolist()) for part in np.array_split(shuffled, min(INNER_FOLDS, len(families)))]
        best = min(
            self.settings,
            key=lambda setting: np.mean([_error_without(fold, evidence, setting, seed) for fold in folds]),
        )
        return fit_booster(evidence, best, seed)


@SET_PREDICTORS.register("catboost_probed")
@dataclass(frozen=True)
class ProbedCatBoostPredictor(CatBoostPredictor):
    """CatBoost on top of the shift of the known cells, with how each of them departs from it among its features."""

    settings: tuple[BoosterSetting, ...] = PROBED_SETTINGS
    regimes: ClassVar[tuple[Regime, ...]] = ("probed",)


def known_of(cells: Sequence[Cell]) -> dict[str, dict[Pair, Known]]:
    """Data set → what the probe would have measured on it."""
    known: defaultdict[str, dict[Pair, Known]] = defaultdict(dict)
    for cell in cells:
        if cell.pair in PROBE_PAIRS:
            known[cell.data_set][cell.pair] = Known.of(cell)
    return known


def known_features(effects: Effects, known: KnownCells) -> dict[str, float]:
    """How far the known cells lie above their pairs' effects on average, and how far each lies above that."""
    if not known:
        return {}
    shift = shift_of(effects, known)
    own = {p: known[p].quality - expected(effects, p) - shift for p in PROBE_PAIRS if p in known}
    return {"shift": shift, **{pair.label: departure for pair, departure in own.items()}}


def fit_booster(evidence: Evidence, setting: BoosterSetting, seed: int = 0) -> Booster:
    """One CatBoost on cells (seeds of one pair on one set averaged: the same squared loss as one row a run).

    Every family weighs the same. Embeddings come from this evidence alone. With known cells those of the probe are not learnt.
    """
    from catboost import CatBoostRegressor

    lifted, probed = setting.scale == "lift", "known" not in setting.leave_out
    importance = room_above_chance(evidence) if lifted else {}
    effects = fit_effects(cells := lifted_cells(evidence) if lifted else evidence.cells, importance)
    known = known_of(evidence.cells) if probed else {}
    learnt = [c for c in cells if c.data_set in evidence.facts and not (probed and c.pair in PROBE_PAIRS)]
    if not learnt:
        raise TooLittleDataError(
            "no data set with runs has meta-features (dataset.json beside its runs): run the zoo again"
        )
    pairs = pair_facts(evidence)
    said = {name: known_features(effects, own) for name, own in known.items()}
    rows = [Row(evidence.facts[c.data_set], pairs[c.pair], said.get(c.data_set, {})) for c in learnt]
    frame = feature_frame(rows, setting.leave_out)
    frame = frame.drop(
        columns=[name for name in TEXT_FEATURES if name in frame and not _has_words(frame[name])]
    )
    shifts = {name: shift_of(effects, own) for name, own in known.items()}
    departures = [c.quality - expected(effects, c.pair) - shifts.get(c.data_set, 0.0) for c in learnt]
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
    model.fit(_as_pool(frame, departures, _weights(learnt, importance)))
    return Booster(model, setting, tuple(frame.columns), pairs, effects, evidence.metric)


def _as_pool(
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


def _has_words(texts: pd.Series) -> bool:
    """Whether some word is common enough for CatBoost to count it; it refuses a text column without one."""
    counts = Counter(word for text in texts for word in set(text.split()))
    return max(counts.values(), default=0) >= FEWEST_OCCURRENCES


def _weights(cells: Sequence[Cell], importance: Mapping[str, float]) -> Floats:
    set_weights = family_weights({cell.data_set: cell.family for cell in cells})
    sizes = Counter(cell.data_set for cell in cells)
    weights = np.array(
        [set_weights[c.data_set] / sizes[c.data_set] * importance.get(c.data_set, 1.0) for c in cells]
    )
    return weights / weights.mean()


def _error_without(fold: Collection[str], evidence: Evidence, setting: BoosterSetting, seed: int) -> float:
    """Mean over the families of `fold` of the mean absolute error over their cells that are not known."""
    booster = fit_booster(evidence.without(fold), setting, seed)
    by_set: defaultdict[str, list[Cell]] = defaultdict(list)
    for cell in evidence.cells:
        if cell.family in fold and cell.data_set in evidence.facts:
            by_set[cell.data_set].append(cell)
    by_family: defaultdict[str, list[float]] = defaultdict(list)
    for name, cells in by_set.items():
        known = known_of(cells).get(name, {}) if booster.probed else {}
        hidden = [cell for cell in cells if cell.pair not in known]
        said = booster.predict(evidence.facts[name], [cell.pair for cell in hidden], known)
        if hidden:
            by_family[cells[0].family].append(float(np.abs(said - [c.quality for c in hidden]).mean()))
    return float(np.mean([np.mean(errors) for errors in by_family.values()]))
