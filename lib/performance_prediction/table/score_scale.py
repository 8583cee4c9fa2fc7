"""Scales on which scores are modelled: identity, or a logit that stays finite at 0 and 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from lib.performance_prediction.table.score_table import Floats

ScaleName = Literal["identity", "logit"]


@dataclass(frozen=True)
class ScoreScale:
    """Affine in the score, or in the logit of ε + (1 − 2ε)·score; standardised by what was measured."""

    name: ScaleName
    centre: float
    unit: float
    margin: float = 0.02

    @classmethod
    def fit(cls, name: ScaleName, values: Floats) -> ScoreScale:
        """Scale on which the measured `values` (NaN elsewhere) have mean 0 and standard deviation 1."""
        raw = cls(name, 0.0, 1.0).forward(values[np.isfinite(values)])
        spread = float(raw.std()) if raw.size else 1.0
        return cls(name, float(raw.mean()) if raw.size else 0.0, spread if spread > 1e-9 else 1.0)

    def forward(self, scores: Floats) -> Floats:
        """Scores → modelled values."""
        if self.name == "identity":
            return (scores - self.centre) / self.unit
        inner = self.margin + (1 - 2 * self.margin) * scores
        return (np.log(inner / (1 - inner)) - self.centre) / self.unit

    def backward(self, modelled: Floats) -> Floats:
        """Modelled values → scores, clipped to [0, 1]."""
        raw = self.centre + self.unit * modelled
        if self.name == "logit":
            raw = (1.0 / (1.0 + np.exp(-np.clip(raw, -50, 50))) - self.margin) / (1 - 2 * self.margin)
        return np.clip(raw, 0.0, 1.0)

    def slope(self, scores: Floats) -> Floats:
        """|d score / d modelled value| at `scores`: turns a small standard deviation into one of scores."""
        if self.name == "identity":
            return np.full_like(scores, self.unit)
        inner = self.margin + (1 - 2 * self.margin) * scores
        return self.unit * inner * (1 - inner) / (1 - 2 * self.margin)
