"""Why CatBoost says what it says: SHAP values of its features, as numbers and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lib.performance_prediction.boosting.booster import Booster, as_pool
from lib.performance_prediction.boosting.cells import Pair
from lib.performance_prediction.boosting.contract import Floats
from lib.performance_prediction.boosting.features import TEXT_FEATURES
from lib.records import DataSetFacts

SMALLEST_EFFECT = 0.002  # quality; less is not worth a word
MOST_REASONS = 3
LOW, HIGH = 1 / 3, 2 / 3
MIDDLING = "middling"

# feature, or its name without log_ or its last word → (what it is, low, high); others are named by their own name
MEANINGS: dict[str, tuple[str, str, str]] = {
    "brightness_mean": ("brightness", "the images are dark", "the images are bright"),
    "brightness_spread": ("spread of brightness", "the images are evenly lit", "the images differ in brightness"),
    "contrast_mean": ("contrast", "the images have little contrast", "the images have much contrast"),
    "local_contrast_mean": ("local contrast", "the surfaces are smooth", "the surfaces have much local contrast"),
    "saturation_mean": ("saturation", "the images have little colour", "the images are colourful"),
    "colourfulness_mean": ("colourfulness", "the images have little colour", "the images are colourful"),
    "grey_share": ("share of grey images", "the images are in colour", "the images are grey"),
    "entropy_mean": ("entropy", "the images are plain", "the images are rich in tones"),
    "edge_density_mean": ("edges", "the images have few edges", "the images have many edges"),
    "gradient_mean": ("gradients", "the images have few edges", "the images have many edges"),
    "sharpness_mean": ("sharpness", "the images are blurred", "the images are sharp"),
    "glcm_contrast_mean": ("texture contrast", "the texture is smooth", "the texture is rough"),
    "glcm_energy_mean": ("texture regularity", "the texture is irregular", "the texture is regular"),
    "glcm_homogeneity_mean": ("texture homogeneity", "the texture is rough", "the texture is homogeneous"),
    "lbp_entropy_mean": ("variety of local patterns", "there are few local patterns", "there are many local patterns"),
    "height_mean": ("image height", "the images are low", "the images are high"),
    "width_mean": ("image width", "the images are narrow", "the images are wide"),
    "log_area_mean": ("image size", "the images are small", "the images are large"),
    "aspect_mean": ("shape of the images", "the images are upright", "the images are wide strips"),
    "dark_share_mean": ("share of dark pixels", "few pixels are dark", "many pixels are dark"),
    "bright_share_mean": ("share of bright pixels", "few pixels are bright", "many pixels are bright"),
    "unevenness_mean": ("unevenness of light", "the images are evenly lit", "the images are unevenly lit"),
    "n_images": ("number of images", "there are few images", "there are many images"),
    "n_train": ("images to train on", "there is little to train on", "there is much to train on"),
    "n_train_per_class": ("images a class", "there are few images a class", "there are many images a class"),
    "n_classes": ("number of classes", "there are few classes", "there are many classes"),
    "class_entropy": ("balance of the classes", "the classes are unbalanced", "the classes are balanced"),
    "majority_share": ("share of the largest class", "no class is much larger than the others", "one class is much larger than the others"),
    "minority_share": ("share of the smallest class", "the smallest class is rare", "no class is rare"),
    "imbalance": ("imbalance", "the classes are balanced", "the classes are unbalanced"),
    "near_duplicate_share": ("near-duplicates", "there are few near-duplicates", "there are many near-duplicates"),
    "nearest_mean": ("how far simple statistics tell the classes apart", "simple statistics hardly tell the classes apart", "simple statistics already tell the classes apart"),
    "separability": ("how far light and texture differ between classes", "the classes look alike in light and texture", "the classes differ in light and texture"),
    "defect_area_share": ("defect area", "the defects are small", "the defects are large"),
    "defect_size_mean": ("defect size", "the defects are small", "the defects are large"),
    "defect_contrast": ("defect contrast", "the defects hardly stand out", "the defects stand out"),
    "als_quality": ("what ALS says of the pair", "", ""),
    "als_backbone_bias": ("the backbone's ALS bias", "", ""),
    "als_head_bias": ("the head's ALS bias", "", ""),
    "head": ("the head", "", ""),
    "backbone_family": ("the backbone's family", "", ""),
    "description": ("the description", "", ""),
}  # fmt: skip


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
    effects = _ranked(booster, _shap_values(booster, facts, pairs).mean(axis=0))
    contributions = tuple(Contribution(name, effect, _words(name, facts, known)) for name, effect in effects)
    return Explanation(facts.name, contributions, _sentence(facts.name, contributions))


def explain_model(booster: Booster, known: Mapping[str, DataSetFacts], pairs: Sequence[Pair]) -> Explanation:
    """Which features matter at all: mean absolute SHAP value over every known data set and pair."""
    values = np.concatenate([np.abs(_shap_values(booster, facts, pairs)) for facts in known.values()])
    effects = _ranked(booster, values.mean(axis=0))
    contributions = tuple(Contribution(name, effect, describe(name, None)) for name, effect in effects)
    strongest = [c.words for c in contributions[:MOST_REASONS] if c.effect > 0]
    sentence = f"predictions depend most on {_listed(strongest)}"
    return Explanation(
        "all data sets", contributions, sentence if strongest else "no feature changes a prediction"
    )


def _shap_values(booster: Booster, facts: DataSetFacts, pairs: Sequence[Pair]) -> Floats:
    """What each feature adds to the quality of each pair, (n_pairs, n_features)."""
    pool = as_pool(booster.frame(facts, pairs, {}))
    values: Floats = booster.model.get_feature_importance(pool, type="ShapValues")[:, :-1]
    return values * (1 - booster.chance(facts))


def _ranked(booster: Booster, effects: Floats) -> list[tuple[str, float]]:
    return sorted(zip(booster.features, effects.tolist(), strict=True), key=lambda item: -abs(item[1]))


def _words(name: str, facts: DataSetFacts, known: Mapping[str, DataSetFacts]) -> str:
    if name in TEXT_FEATURES:
        return "its description says so"
    bare = name.removeprefix("set_")
    value = facts.meta_features.get(bare) if name != bare else None
    others = [v for f in known.values() if (v := f.meta_features.get(bare)) is not None]
    if value is None or not others:
        return describe(name, None)
    return describe(name, float(np.mean(np.less(others, value)) + np.mean(np.less_equal(others, value))) / 2)


def _sentence(subject: str, contributions: Sequence[Contribution]) -> str:
    total = sum(c.effect for c in contributions)
    if abs(total) < SMALLEST_EFFECT:
        return f"{subject}: predicted as the pairs do on average, nothing about the images speaks for more or less"
    reasons = [
        c.words
        for c in contributions
        if c.effect * total > 0
        and abs(c.effect) >= SMALLEST_EFFECT
        and c.feature.startswith(("set_", "desc"))
        and not c.words.endswith(MIDDLING)
    ]
    said = f"{subject}: predicted {'lower' if total < 0 else 'higher'} by {abs(total):.3f}"
    if not reasons:
        return f"{said} by many features together, none of them unusual"
    return f"{said} because {_listed(list(dict.fromkeys(reasons))[:MOST_REASONS])}"


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def describe(feature: str, below: float | None) -> str:
    """What a feature is, or with `below` (share of known sets with a smaller value, 0 … 1) what its value means."""
    bare = feature.removeprefix("set_")
    stems = (bare, bare.removeprefix("log_"), bare.rpartition("_")[0])
    name, low, high = next((MEANINGS[s] for s in stems if s in MEANINGS), (_plain(bare), "", ""))
    if below is None:
        return name
    if below < LOW:
        return low or f"{name} is low"
    return (high or f"{name} is high") if below > HIGH else f"{name} is {MIDDLING}"


def _plain(feature: str) -> str:
    """A name nobody worded: means are meant by default, spreads are between images."""
    if feature.endswith("_spread"):
        return f"the spread of {feature.removesuffix('_spread').replace('_', ' ')} between images"
    return feature.removesuffix("_mean").replace("_", " ")
