"""Features of rows as numbers: gaps filled and flagged, categories one-hot, learnt from the training rows alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from lib.performance_prediction.table.score_table import Floats

_MOST_CATEGORIES = 20


@dataclass(frozen=True)
class FeatureEncoder:
    """How each feature becomes columns: `medians` of the numbers, `categories` of the rest, `flagged` where gaps say something."""

    medians: dict[str, float]
    categories: dict[str, tuple[str, ...]]
    flagged: tuple[str, ...]

    @classmethod
    def fit(cls, features: pd.DataFrame) -> FeatureEncoder:
        """Learns from one line a training row. Features that never vary, and free text, are left out."""
        medians: dict[str, float] = {}
        categories: dict[str, tuple[str, ...]] = {}
        flagged: list[str] = []
        for name in features.columns:
            numbers = _numbers(features[name])
            known = numbers[np.isfinite(numbers)]
            if len(known) and len(known) >= features[name].notna().sum():
                if known.min() < known.max():
                    medians[str(name)] = float(np.median(known))
                if 0 < np.isfinite(numbers).sum() < len(numbers):
                    flagged.append(str(name))
                continue
            levels = tuple(sorted({str(level) for level in features[name].dropna()}))
            if 2 <= len(levels) <= min(_MOST_CATEGORIES, max(2, len(features) // 2)):
                categories[str(name)] = levels
        return cls(medians, categories, tuple(flagged))

    def encode(self, features: pd.DataFrame) -> Floats:
        """Float array (n_rows, width) without NaN; a feature the table lacks counts as a gap, an unknown category as none."""
        gaps = pd.Series([np.nan] * len(features), index=features.index, dtype=object)
        columns: list[Floats] = []
        for name, median in self.medians.items():
            numbers = _numbers(features.get(name, gaps))
            columns.append(np.where(np.isfinite(numbers), numbers, median))
        for name in self.flagged:
            columns.append((~np.isfinite(_numbers(features.get(name, gaps)))).astype(float))
        for name, levels in self.categories.items():
            text = features.get(name, gaps).astype(object).map(lambda level: str(level))
            columns.extend((text == level).to_numpy(float) for level in levels)
        return np.column_stack(columns) if columns else np.zeros((len(features), 0))


def _numbers(series: pd.Series) -> Floats:
    values = pd.to_numeric(series, errors="coerce").to_numpy(float)
    return np.where(np.isfinite(values), values, np.nan)
