"""How far a mean over families would vary with other families: bootstrap intervals, and two predictors compared on the same ones."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from lib.frozen import Frozen

DRAWS = 2000
TAIL = 0.025
ByFamily = Mapping[str, float]


class Interval(Frozen):
    """A mean over families with its 95 % bootstrap interval (percentiles; Efron 1979); `error`: its standard deviation."""

    mean: float
    low: float
    high: float
    error: float

    @property
    def verdict(self) -> Literal["better", "worse", "cannot be told apart"]:
        """What a difference of losses (own minus rival's) says."""
        if self.high < 0:
            return "better"
        return "worse" if self.low > 0 else "cannot be told apart"


def bootstrap(values: ByFamily) -> Interval:
    """The mean of `values`, families drawn with replacement; the same families give the same draws."""
    numbers = np.array([values[family] for family in sorted(values)])
    means = _shares(len(numbers)) @ numbers
    low, high = np.quantile(means, [TAIL, 1 - TAIL])
    rounded = (round(float(x), 5) for x in (numbers.mean(), low, high, means.std()))
    return Interval(**dict(zip(("mean", "low", "high", "error"), rounded, strict=True)))


def difference(own: ByFamily, rival: ByFamily) -> Interval:
    """Own minus rival's values on the families that both have: a paired comparison."""
    return bootstrap({family: own[family] - rival[family] for family in own if family in rival})


def simplest_of_best(losses: Mapping[str, ByFamily], simplicity: Mapping[str, int]) -> str:
    """Of the predictors within one standard error of the best (Breiman et al. 1984) the simplest."""
    return min(within_noise_of_best(losses), key=lambda name: (simplicity[name], name))


def within_noise_of_best(losses: Mapping[str, ByFamily]) -> Collection[str]:
    """Names whose mean loss is at most one (paired) standard error above the least."""
    means = {name: float(np.mean(list(values.values()))) for name, values in losses.items()}
    best = min(means, key=lambda name: (means[name], name))
    gaps = {name: difference(values, losses[best]) for name, values in losses.items()}
    return [name for name, gap in gaps.items() if gap.mean <= gap.error]


@cache
def _shares(families: int) -> npt.NDArray[np.float64]:
    """What share each family has of each draw, (DRAWS, n_families)."""
    return np.random.default_rng(0).multinomial(families, np.full(families, 1 / families), DRAWS) / families
