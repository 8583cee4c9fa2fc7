"""Scales on which scores in [0, 1] look normal: as they are, arc sine of the square root, logit; each can be undone everywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
ScaleName = Literal["identity", "arcsine", "logit"]

# Scores of exactly 0 and 1 occur in real tables; the margin keeps their logits finite and the map invertible.
MARGIN = 0.02
_SMALLEST_UNIT = 1e-9


@dataclass(frozen=True)
class Scale:
    """(g(score) − centre) / unit with a strictly increasing g; what lies beyond the ends comes back as 0 or 1.

    >>> LOGIT.forward(np.array([0.0, 0.5, 1.0])).round(4)
    array([-3.8918,  0.    ,  3.8918])
    >>> Scale("arcsine").forward(np.array([0.25])) * 6 / np.pi
    array([1.])
    >>> LOGIT.backward(np.array([-50.0, 0.0, 3.8918])).round(4)
    array([0. , 0.5, 1. ])
    >>> Scale("identity", centre=0.5, unit=0.25).forward(np.array([0.75, 0.0]))
    array([ 1., -2.])
    """

    name: ScaleName
    centre: float = 0.0
    unit: float = 1.0

    @classmethod
    def fitted(cls, name: ScaleName, values: Floats) -> Scale:
        """The scale on which the measured `values` (NaN elsewhere) have mean 0 and standard deviation 1.

        >>> Scale.fitted("identity", np.array([0.2, 0.4, np.nan]))
        Scale(name='identity', centre=0.30000000000000004, unit=0.1)
        """
        raw = cls(name).forward(values[np.isfinite(values)])
        unit = float(raw.std()) if raw.size else 0.0
        return cls(name, float(raw.mean()) if raw.size else 0.0, unit if unit > _SMALLEST_UNIT else 1.0)

    def forward(self, scores: Floats) -> Floats:
        """Scores → modelled values."""
        return (_SHAPES[self.name][0](np.clip(scores, 0.0, 1.0)) - self.centre) / self.unit

    def backward(self, modelled: Floats) -> Floats:
        """Modelled values → scores in [0, 1]."""
        return np.clip(_SHAPES[self.name][1](self.centre + self.unit * modelled), 0.0, 1.0)

    def slope(self, scores: Floats) -> Floats:
        """d score / d modelled value at `scores`: turns a small standard deviation into one of scores.

        >>> Scale("logit").slope(np.array([0.5])).round(4)
        array([0.2604])
        """
        return self.unit * _SHAPES[self.name][2](scores)


def _inner(scores: Floats) -> Floats:
    return MARGIN + (1 - 2 * MARGIN) * scores


# of each scale: scores → values, values → scores, slope at scores
_SHAPES: dict[ScaleName, tuple[Callable[[Floats], Floats], ...]] = {
    "identity": (lambda scores: scores, lambda values: values, np.ones_like),
    "arcsine": (
        lambda scores: np.arcsin(np.sqrt(scores)),
        lambda values: np.sin(np.clip(values, 0.0, np.pi / 2)) ** 2,
        lambda scores: 2 * np.sqrt(scores * (1 - scores)),
    ),
    "logit": (
        lambda scores: np.log(_inner(scores) / (1 - _inner(scores))),
        lambda values: (1 / (1 + np.exp(-np.clip(values, -50.0, 50.0))) - MARGIN) / (1 - 2 * MARGIN),
        lambda scores: _inner(scores) * (1 - _inner(scores)) / (1 - 2 * MARGIN),
    ),
}
LOGIT = Scale("logit")
SCALES = (Scale("arcsine"), LOGIT, Scale("identity"))
