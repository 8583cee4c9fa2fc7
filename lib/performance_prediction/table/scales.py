"""Scales on which scores in [0, 1] look normal: identity, arc sine of the square root, logit; each can be undone everywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lib.performance_prediction.table.score_table import Floats

_LOGIT_MARGIN = 0.01


@dataclass(frozen=True)
class Scale:
    """A strictly increasing map of [0, 1] and its inverse; what lies beyond the ends comes back as 0 or 1."""

    name: str
    forward: Callable[[Floats], Floats]
    backward: Callable[[Floats], Floats]


def _arcsine(scores: Floats) -> Floats:
    return np.arcsin(np.sqrt(np.clip(scores, 0.0, 1.0)))


def _sine_squared(values: Floats) -> Floats:
    return np.sin(np.clip(values, 0.0, np.pi / 2)) ** 2


def _logit(scores: Floats) -> Floats:
    # Scores of exactly 0 and 1 occur in real tables; the margin keeps their logits finite and the map invertible.
    squeezed = _LOGIT_MARGIN + (1 - 2 * _LOGIT_MARGIN) * np.clip(scores, 0.0, 1.0)
    return np.log(squeezed / (1 - squeezed))


def _logistic(values: Floats) -> Floats:
    squeezed = 1 / (1 + np.exp(-np.clip(values, -30.0, 30.0)))
    return np.clip((squeezed - _LOGIT_MARGIN) / (1 - 2 * _LOGIT_MARGIN), 0.0, 1.0)


def _clip(values: Floats) -> Floats:
    return np.clip(values, 0.0, 1.0)


IDENTITY = Scale("identity", _clip, _clip)
ARCSINE = Scale("arcsine", _arcsine, _sine_squared)
LOGIT = Scale("logit", _logit, _logistic)
SCALES = (ARCSINE, LOGIT, IDENTITY)
