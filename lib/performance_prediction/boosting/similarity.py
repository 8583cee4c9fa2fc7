"""How alike two data sets look: distance between their standardised meta-features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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
        """Known set → root mean squared difference over the features that both have (0: alike); NaN without a common one."""
        point = self._standardised(facts.meta_features)
        with np.errstate(invalid="ignore"):
            squared = np.square(self.points - point)
            known = np.isfinite(squared).sum(axis=1)
            mean = np.nansum(squared, axis=1) / np.where(known, known, np.nan)
        return dict(zip(self.names, np.sqrt(mean).tolist(), strict=True))

    def odd_features(self, facts: DataSetFacts, beyond: float = 3.0) -> list[str]:
        """Features whose value lies more than `beyond` standard deviations from the known sets' mean, oddest first."""
        point = self._standardised(facts.meta_features)
        order = np.argsort(-np.nan_to_num(np.abs(point)))
        return [self.features[i] for i in order if abs(point[i]) > beyond]

    def _standardised(self, features: Mapping[str, float]) -> Floats:
        values = np.array([features.get(name, np.nan) for name in self.features])
        return np.clip((values - self.centre) / self.scale, -LARGEST_DEVIATION, LARGEST_DEVIATION)


def feature_space(facts: Mapping[str, DataSetFacts]) -> FeatureSpace:
    """The space spanned by the meta-features of `facts` (data set name → facts)."""
    names = tuple(sorted(facts))
    features = sorted({name for entry in facts.values() for name in entry.meta_features})
    values = np.array([[facts[n].meta_features.get(f, np.nan) for f in features] for n in names])
    values = values.reshape(len(names), len(features))
    usable = [j for j in range(len(features)) if _varies(values[:, j])]
    values = values[:, usable]
    centre = np.nanmean(values, axis=0) if usable else np.zeros(0)
    scale = np.nanstd(values, axis=0) if usable else np.ones(0)
    points = np.clip((values - centre) / scale, -LARGEST_DEVIATION, LARGEST_DEVIATION)
    return FeatureSpace(names, tuple(features[j] for j in usable), centre, scale, points)


def _varies(column: Floats) -> bool:
    known = column[np.isfinite(column)]
    return len(known) > 1 and float(known.std()) > 1e-9 * (1 + float(np.abs(known).max()))
