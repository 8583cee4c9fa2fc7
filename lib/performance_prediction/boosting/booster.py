"""CatBoost on top of additive effects: it predicts how far a pair on this data set departs from what pairs reach on average."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from lib.errors import TooLittleDataError
from lib.performance_prediction.als.matrix import Effects, family_weights, fit_effects
from lib.performance_prediction.boosting import contract
from lib.performance_prediction.boosting.cells import Cell, Pair
from lib.performance_prediction.boosting.contract import Floats, Known, KnownCells
from lib.performance_prediction.boosting.evidence import Evidence
from lib.performance_prediction.boosting.features import (
    CATEGORICAL_FEATURES,
    TEXT_FEATURES,
    PairFacts,
    Row,
    feature_frame,
    pair_facts,
)
from lib.performance_prediction.boosting.leave_set_out import OnStep, leave_families_out
from lib.performance_prediction.boosting.rivals import expected, lifted_cells, shift_of
from lib.performance_prediction.boosting.scores import ScoreLine, score_line
from lib.records import DataSetFacts
from lib.records.schema import Metric

if TYPE_CHECKING:
    import pandas as pd
    from catboost import CatBoostRegressor, Pool

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

    scale: Literal["quality", "lift"]
    depth: int
    iterations: int
    leave_out: tuple[str, ...] = ()

    @property
    def probed(self) -> bool:
        """Whether it learns to use known cells."""
        return "known" not in self.leave_out


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
ABLATIONS: dict[str, tuple[str, ...]] = {
    "nothing": (),
    "ALS embeddings": ("embeddings",),
    "data-set features": ("data_set",),
    "text feature": ("text",),
}


@dataclass(frozen=True)
class Booster(contract.FittedSetPredictor):
    """A fitted CatBoost and what it needs to predict: feature names, pairs' facts, and the effects it departs from."""

    model: CatBoostRegressor
    setting: BoosterSetting
    features: tuple[str, ...]
    pairs: Mapping[Pair, PairFacts]
    effects: Effects
    metric: Metric

    def predict(self, facts: DataSetFacts, pairs: Sequence[Pair], known: KnownCells) -> Floats:
        known = known if self.setting.probed else {}
        base = np.array([expected(self.effects, pair) for pair in pairs]) + shift_of(self.effects, known)
        learnt = [i for i, pair in enumerate(pairs) if pair in self.pairs]
        if learnt:
            frame = self.frame(facts, [pairs[i] for i in learnt], known)
            base[learnt] += np.asarray(self.model.predict(as_pool(frame)))
        return np.clip(contract.unlift(base, self.chance(facts)), 0.0, 1.0)

    def chance(self, facts: DataSetFacts) -> float:
        """Where its scale begins."""
        return contract.chance_level(facts, self.metric) if self.setting.scale == "lift" else 0.0

    def frame(self, facts: DataSetFacts, pairs: Sequence[Pair], known: KnownCells) -> pd.DataFrame:
        """Features of pairs that the booster knows, one line each."""
        said = known_features(self.effects, known)
        rows = [Row(facts, self.pairs[pair], said) for pair in pairs]
        return feature_frame(rows, self.setting.leave_out, self.features)


@contract.SET_PREDICTORS.register("catboost")
@dataclass(frozen=True)
class CatBoostPredictor(contract.SetPredictor):
    """CatBoost with settings chosen by leaving whole families out of the training evidence; one setting is simply used."""

    settings: tuple[BoosterSetting, ...] = SETTINGS
    simplicity: ClassVar[int] = 30

    def fit(self, evidence: Evidence, seed: int = 0) -> Booster:
        """Raises TooLittleDataError where no run's data set has facts."""
        families = sorted({cell.family for cell in evidence.cells})
        if len(self.settings) == 1 or len(families) < 3:
            return fit_booster(evidence, self.settings[0], seed)
        shuffled = np.random.default_rng(seed).permutation(families)
        folds = [set(part.tolist()) for part in np.array_split(shuffled, min(INNER_FOLDS, len(families)))]

        def error(setting: BoosterSetting) -> float:
            return float(np.mean([_error_without(fold, evidence, setting, seed) for fold in folds]))

        return fit_booster(evidence, min(self.settings, key=error), seed)


@contract.SET_PREDICTORS.register("catboost_probed")
@dataclass(frozen=True)
class ProbedCatBoostPredictor(CatBoostPredictor):
    """CatBoost on top of the shift of the known cells, with how each of them departs from it among its features."""

    settings: tuple[BoosterSetting, ...] = PROBED_SETTINGS
    regimes: ClassVar[tuple[contract.Regime, ...]] = ("probed",)


def known_of(cells: Sequence[Cell], probed: Sequence[Pair]) -> dict[str, dict[Pair, Known]]:
    """Data set → what the probe would have measured on it."""
    known: defaultdict[str, dict[Pair, Known]] = defaultdict(dict)
    for cell in cells:
        if cell.pair in probed:
            known[cell.data_set][cell.pair] = Known.of(cell)
    return known


def known_features(effects: Effects, known: KnownCells) -> dict[str, float]:
    """How far the known cells lie above their pairs' effects on average, and how far each lies above that."""
    if not known:
        return {}
    shift = shift_of(effects, known)
    own = {p.label: known[p].quality - expected(effects, p) - shift for p in sorted(known)}
    return {"shift": shift, **own}


def fit_booster(evidence: Evidence, setting: BoosterSetting, seed: int = 0) -> Booster:
    """One CatBoost on cells (seeds of one pair on one set averaged: the same squared loss as one row a run).

    Every family weighs the same. Embeddings come from this evidence alone. With known cells those of the probe are not learnt.
    """
    from catboost import CatBoostRegressor

    cells, importance = lifted_cells(evidence) if setting.scale == "lift" else (evidence.cells, {})
    effects = fit_effects(cells, importance)
    known = known_of(evidence.cells, evidence.probed) if setting.probed else {}
    learnt = [c for c in cells if c.data_set in evidence.facts and not (known and c.pair in evidence.probed)]
    if not learnt:
        raise TooLittleDataError(
            "no data set with runs has meta-features (dataset.json beside its runs): run the zoo again"
        )
    pairs = pair_facts(evidence)
    said = {name: known_features(effects, own) for name, own in known.items()}
    rows = [Row(evidence.facts[c.data_set], pairs[c.pair], said.get(c.data_set, {})) for c in learnt]
    frame = feature_frame(rows, setting.leave_out)
    wordless = [name for name in TEXT_FEATURES if name in frame and not _has_words(frame[name])]
    frame = frame.drop(columns=wordless)
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
    model.fit(as_pool(frame, departures, _weights(learnt, importance)))
    return Booster(model, setting, tuple(frame.columns), pairs, effects, evidence.metric)


def as_pool(
    frame: pd.DataFrame, labels: Sequence[float] | None = None, weights: Floats | None = None
) -> Pool:
    """The frame as CatBoost takes it, with its categorical and text columns named."""
    from catboost import Pool

    categories, texts = ([n for n in names if n in frame] for names in (CATEGORICAL_FEATURES, TEXT_FEATURES))
    return Pool(frame, labels, weight=weights, cat_features=categories, text_features=texts)


def _has_words(texts: pd.Series) -> bool:
    """Whether some word is common enough for CatBoost to count it; it refuses a text column without one."""
    counts = Counter(word for text in texts for word in set(text.split()))
    return max(counts.values(), default=0) >= FEWEST_OCCURRENCES


def _weights(cells: Sequence[Cell], importance: Mapping[str, float]) -> Floats:
    of_set = family_weights({cell.data_set: cell.family for cell in cells})
    sizes = Counter(cell.data_set for cell in cells)
    weights = np.array(
        [of_set[c.data_set] / sizes[c.data_set] * importance.get(c.data_set, 1.0) for c in cells]
    )
    return weights / weights.mean()


def _error_without(fold: Collection[str], evidence: Evidence, setting: BoosterSetting, seed: int) -> float:
    """Mean over the families of `fold` of the mean absolute error over their cells that are not known."""
    booster = fit_booster(evidence.without(fold), setting, seed)
    known = known_of(evidence.cells, evidence.probed) if setting.probed else {}
    by_set: defaultdict[str, list[Cell]] = defaultdict(list)
    for cell in evidence.cells:
        if (
            cell.family in fold
            and cell.data_set in evidence.facts
            and cell.pair not in known.get(cell.data_set, {})
        ):
            by_set[cell.data_set].append(cell)
    by_family: defaultdict[str, list[float]] = defaultdict(list)
    for name, cells in by_set.items():
        said = booster.predict(evidence.facts[name], [cell.pair for cell in cells], known.get(name, {}))
        by_family[cells[0].family].append(float(np.abs(said - [c.quality for c in cells]).mean()))
    return float(np.mean([np.mean(errors) for errors in by_family.values()]))


def ablate(
    evidence: Evidence, setting: BoosterSetting, seed: int = 0, on_step: OnStep | None = None
) -> tuple[tuple[ScoreLine, ...], tuple[str, ...]]:
    """CatBoost of one setting, every group looked at, then without one group of features at a time: a score line each, and a
    sentence for each that could not be left out."""
    described = any(entry.description for entry in evidence.facts.values())
    predictors = {
        name: CatBoostPredictor((replace(setting, leave_out=("known", *groups)),))
        for name, groups in ABLATIONS.items()
        if described or "text" not in groups
    }
    left_out = leave_families_out(evidence, predictors, ("unseen",), seed, on_step)["unseen"]
    skipped = () if described else ("text feature not left out: no data set has a description",)
    return tuple(score_line(left_out, name) for name in predictors), skipped
