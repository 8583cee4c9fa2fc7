"""How alike two data sets look: distance between their standardised meta-features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lib.records import DataSetFacts

Floats = npt.NDArray[np.float64]

LARGEST_DEVIATION = 4.0  # standard deviations; beyond it one odd feature would drown all others


@dataclass(frozen=True)
class FeatureSpace:
    """Meta-features of the known data sets, standardised.

    `points`: float array (n_sets, n_features), NaN where a set lacks the feature; features that do not vary are left out.
    """

    names: tuple[str, ...]
    features: tuple[str, ...]
    centre: Floats
    scale: Floats
    points: Floats

    def distances(self, facts: DataSetFacts) -> dict[str, float]:
        """Known set → root mean squared difference over the features that both have (0: alike); none without a common one."""
        squared = np.square(self.points - self.standardised(_values(facts, self.features)))
        known = np.isfinite(squared).sum(axis=1)
        means = np.nansum(squared, axis=1) / np.maximum(known, 1)
        found = zip(self.names, np.sqrt(means).tolist(), known, strict=True)
        return {name: distance for name, distance, shared in found if shared}

    def odd_features(self, facts: DataSetFacts, beyond: float = 3.0) -> list[str]:
        """Features whose value lies more than `beyond` standard deviations from the known sets' mean, oddest first."""
        away = np.nan_to_num(np.abs(self.standardised(_values(facts, self.features))))
        return [self.features[i] for i in np.argsort(-away) if away[i] > beyond]

    def standardised(self, values: Floats) -> Floats:
        """Values (…, n_features) in standard deviations from the known sets' mean."""
        return np.clip((values - self.centre) / self.scale, -LARGEST_DEVIATION, LARGEST_DEVIATION)


def feature_space(facts: Mapping[str, DataSetFacts]) -> FeatureSpace:
    """The space spanned by the meta-features of `facts` (data set name → facts)."""
    return spanned(*feature_table(facts))


def feature_table(facts: Mapping[str, DataSetFacts]) -> tuple[tuple[str, ...], tuple[str, ...], Floats]:
    """Names of the data sets and of all meta-features, and values (n_sets, n_features), NaN where unknown."""
    names = tuple(sorted(facts))
    features = tuple(sorted({name for entry in facts.values() for name in entry.meta_features}))
    values = np.array([_values(facts[name], features) for name in names]).reshape(len(names), len(features))
    return names, features, values


def spanned(names: Sequence[str], features: Sequence[str], values: Floats) -> FeatureSpace:
    """The space of a `feature_table`, or of some of its rows."""
    known = np.isfinite(values)
    counts, filled = np.maximum(known.sum(axis=0), 1), np.where(known, values, 0.0)
    means = filled.sum(axis=0) / counts
    deviations = np.sqrt(np.square(np.where(known, values - means, 0.0)).sum(axis=0) / counts)
    usable = np.flatnonzero(
        (known.sum(axis=0) > 1) & (deviations > 1e-9 * (1 + np.abs(filled).max(axis=0, initial=0.0)))
    )
    used, kept = tuple(features[j] for j in usable.tolist()), values[:, usable]
    bare = FeatureSpace(tuple(names), used, means[usable], deviations[usable], kept)
    return replace(bare, points=bare.standardised(kept))


def _values(facts: DataSetFacts, features: Sequence[str]) -> Floats:
    return np.array([facts.meta_features.get(name, np.nan) for name in features])
