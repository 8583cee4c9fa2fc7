"""Why CatBoost says what it says: SHAP values of its features, as numbers and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lib.performance_prediction.boosting.booster import Booster
from lib.performance_prediction.boosting.cells import Pair
from lib.performance_prediction.boosting.contract import Floats, chance_level
from lib.performance_prediction.boosting.features import CATEGORICAL_FEATURES, TEXT_FEATURES
from lib.performance_prediction.boosting.wording import MIDDLING, describe
from lib.records import DataSetFacts

SMALLEST_EFFECT = 0.002  # quality; less is not worth a word
MOST_REASONS = 3


@dataclass(frozen=True)
class Contribution:
    """What one feature adds to the predicted quality; `words`: what is special about its value."""

    feature: str
    effect: float
    words: str


@dataclass(frozen=True)
class Explanation:
    """Contributions, largest first; `effect` of the whole is the mean departure from what pairs reach on average."""

    subject: str
    contributions: tuple[Contribution, ...]
    sentence: str


def explain_set(
    booster: Booster, facts: DataSetFacts, known: Mapping[str, DataSetFacts], pairs: Sequence[Pair]
) -> Explanation:
    """Why the pairs are predicted as they are on this data set: SHAP values (Lundberg et al. 2018) averaged over `pairs`.

    `known`: facts of the sets it was trained on; they say whether a value is low or high.
    """
    frame = booster.frame(facts, pairs, {})
    means = _shap_values(booster, facts, pairs).mean(axis=0)
    ranked = sorted(zip(booster.features, means.tolist(), strict=True), key=lambda item: -abs(item[1]))
    contributions = tuple(
        Contribution(name, effect, _words(name, frame[name].iloc[0], facts, known)) for name, effect in ranked
    )
    return Explanation(facts.name, contributions, _sentence(facts.name, contributions))


def explain_model(booster: Booster, known: Mapping[str, DataSetFacts], pairs: Sequence[Pair]) -> Explanation:
    """Which features matter at all: mean absolute SHAP value over every known data set and pair."""
    values = np.concatenate([np.abs(_shap_values(booster, facts, pairs)) for facts in known.values()])
    ranked = sorted(zip(booster.features, values.mean(axis=0).tolist(), strict=True), key=lambda i: -i[1])
    contributions = tuple(Contribution(name, effect, describe(name, None)) for name, effect in ranked)
    strongest = [c.words for c in contributions[:MOST_REASONS] if c.effect > 0]
    sentence = (
        f"predictions depend most on {_listed(strongest)}" if strongest else "no feature changes a prediction"
    )
    return Explanation("all data sets", contributions, sentence)


def _shap_values(booster: Booster, facts: DataSetFacts, pairs: Sequence[Pair]) -> Floats:
    """What each feature adds to the quality of each pair, (n_pairs, n_features)."""
    pool = booster.pool(facts, pairs, {})
    values: Floats = booster.model.get_feature_importance(pool, type="ShapValues")[:, :-1]
    lifted = booster.setting.scale == "lift"
    return values * (1 - chance_level(facts, booster.metric)) if lifted else values


def _words(name: str, value: object, facts: DataSetFacts, known: Mapping[str, DataSetFacts]) -> str:
    if name in TEXT_FEATURES:
        return "its description says so"
    if name in CATEGORICAL_FEATURES or not name.startswith("set_"):
        return describe(name, None)
    bare = name.removeprefix("set_")
    others = [v for f in known.values() if (v := f.meta_features.get(bare)) is not None]
    if not isinstance(value, float) or not np.isfinite(value) or not others:
        return describe(name, None)
    below, upto = (
        np.mean(comparison) for comparison in (np.less(others, value), np.less_equal(others, value))
    )
    return describe(name, float(below + upto) / 2)


def _sentence(subject: str, contributions: Sequence[Contribution]) -> str:
    total = sum(c.effect for c in contributions)
    direction = "lower" if total < 0 else "higher"
    reasons = [
        c.words
        for c in contributions
        if c.effect * total > 0
        and abs(c.effect) >= SMALLEST_EFFECT
        and c.feature.startswith(("set_", "desc"))
        and not c.words.endswith(MIDDLING)
    ]
    unique = list(dict.fromkeys(reasons))[:MOST_REASONS]
    if abs(total) >= SMALLEST_EFFECT and not unique:
        return f"{subject}: predicted {direction} by {abs(total):.3f} by many features together, none of them unusual"
    if abs(total) < SMALLEST_EFFECT:
        return f"{subject}: predicted as the pairs do on average, nothing about the images speaks for more or less"
    return f"{subject}: predicted {direction} by {abs(total):.3f} because {_listed(unique)}"


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
