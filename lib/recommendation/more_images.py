"""What would more images bring? From runs on a tenth, a third and the whole of the same sets, judged on families left out.

Errors fall as a power of the number of images, e(n) ∝ n⁻ᵇ (Hestness et al. 2017, "Deep Learning Scaling is Predictable,
Empirically"); b of a new set is the one that predicts other families' sets best, mixed with the set's own b where two sizes of it
were run. A mean of b would promise too much: sets on which hardly anything is wrong any more have the largest.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from lib.frozen import Frozen
from lib.performance_prediction.boosting.cells import Pair
from lib.performance_prediction.boosting.evidence import Evidence
from lib.performance_prediction.boosting.scores import Interval, bootstrap, difference

FEWEST_FAMILIES = 8  # for an interval of 90 %
NO_ERROR = 0.005  # where nothing is wrong any more, a power of it is none
TYPICAL = np.arange(0.0, 1.51, 0.02)  # values of b
SHARES = np.array([0.0, 0.25, 0.5, 0.75, 1.0])  # of a set's own b
Floats = npt.NDArray[np.float64]
Number = TypeVar("Number", float, Floats)
METHODS = ("families", "no gain", "own power law")


class Gain(Frozen):
    """Expected gain in quality of one pair with `times` as many images, and its 90 % interval."""

    times: float
    gain: float
    low: float
    high: float


class MoreImages(Frozen):
    """The answer. `gains` is empty without records of views; `next_pair`, `next_gain`: the better pair, if any, and what it would bring
    instead; `errors`: method → mean absolute error of predicting the whole from a third; `sentences`: all of it in words."""

    gains: tuple[Gain, ...]
    next_pair: str | None
    next_gain: float
    errors: dict[str, Interval]
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Growth:
    """A pair on one set at three sizes (images of the training part), smallest first, the last is the whole; `qualities` alike."""

    family: str
    pair: Pair
    sizes: tuple[float, float, float]
    qualities: tuple[float, float, float]

    def power(self, first: int, second: int) -> float:
        """b between two of the sizes."""
        errors = [max(1 - quality, NO_ERROR) for quality in self.qualities]
        return math.log(errors[first] / errors[second]) / math.log(self.sizes[second] / self.sizes[first])


def growths(evidence: Evidence) -> list[Growth]:
    """Every pair and set with runs on the whole and two smaller sizes: the middle one the next smaller to the whole."""
    whole = {(cell.data_set, cell.pair): cell.quality for cell in evidence.cells}
    found = defaultdict(list)
    for view in evidence.views:
        if (view.whole, view.cell.pair) in whole:
            found[view.whole, view.cell.pair].append(view)
    grown = []
    for (name, pair), views in sorted(found.items()):
        ordered = sorted(views, key=lambda view: view.n_train)[-2:]
        sizes = [float(view.n_train) for view in ordered] + [float(ordered[-1].n_whole)]
        if len(sizes) == 3 and 0 < sizes[0] < sizes[1] < sizes[2]:
            qualities = (*(view.cell.quality for view in ordered), whole[name, pair])
            grown.append(Growth(ordered[0].cell.family, pair, (sizes[0], sizes[1], sizes[2]), qualities))  # type: ignore[arg-type]
    return grown


@dataclass(frozen=True)
class PowerModel:
    """b of the next enlargement. `alone`: of a set of which only one size was run; else `typical`, and the `share` of the set's own
    earlier b. `powers`: of each family, from the second size to the whole."""

    alone: float
    typical: float
    share: float
    powers: tuple[float, ...]

    @classmethod
    def of(cls, grown: Sequence[Growth]) -> PowerModel:
        """What predicts the whole from the second size best, on average over families."""
        return cls.best(losses(grown).mean(axis=2), _family_powers(grown))

    @classmethod
    def best(cls, mean: Floats, powers: tuple[float, ...] = ()) -> PowerModel:
        """The shares and b with the least of `mean` errors, (n_shares, n_typical)."""
        share, typical = np.unravel_index(int(mean.argmin()), mean.shape)
        return cls(float(TYPICAL[mean[0].argmin()]), float(TYPICAL[typical]), float(SHARES[share]), powers)

    def power(self, earlier: float | None = None) -> float:
        """b, given the set's own earlier one or not; more images do not make it worse."""
        if earlier is None:
            return self.alone
        return max((1 - self.share) * self.typical + self.share * earlier, 0.0)


def losses(grown: Sequence[Growth]) -> Floats:
    """Mean absolute error of the whole's quality for each share and typical b, (n_shares, n_typical, n_families), families by name."""
    families, place = np.unique([one.family for one in grown], return_inverse=True)
    earlier, times, before, whole = np.array(
        [(one.power(0, 1), one.sizes[2] / one.sizes[1], one.qualities[1], one.qualities[2]) for one in grown]
    ).T
    shares, typical = SHARES[:, None, None], TYPICAL[None, :, None]
    powers = np.maximum((1 - shares) * typical + shares * earlier, 0.0)
    errors = np.abs(grow(before, times, powers) - whole)
    own = place == np.arange(len(families))[:, None]
    mean: Floats = errors @ (own / own.sum(axis=1, keepdims=True)).T
    return mean


def _family_powers(grown: Sequence[Growth]) -> tuple[float, ...]:
    found: defaultdict[str, list[float]] = defaultdict(list)
    for one in grown:
        found[one.family].append(one.power(1, 2))
    return tuple(map(fmean, found.values()))


def grow(quality: Number, times: Number, power: Number) -> Number:
    """Quality with `times` as many images.

    >>> grow(0.8, 4, 0.5)
    0.9
    """
    return 1 - (1 - quality) * times**-power


def judged(grown: Sequence[Growth]) -> dict[str, dict[str, float]]:
    """Method → family left out → mean absolute error of the whole's quality, predicted from a third (and a tenth) of the set."""
    errors: dict[str, defaultdict[str, list[float]]] = {name: defaultdict(list) for name in METHODS}
    families, all_losses = sorted({one.family for one in grown}), losses(grown)
    for k, family in enumerate(families):
        model = PowerModel.best(np.delete(all_losses, k, axis=2).mean(axis=2))
        for one in (one for one in grown if one.family == family):
            own, times = one.power(0, 1), one.sizes[2] / one.sizes[1]
            said = (model.power(own), 0.0, max(own, 0.0))
            for name, power in zip(METHODS, said, strict=True):
                errors[name][family].append(abs(grow(one.qualities[1], times, power) - one.qualities[2]))
    return {
        name: {family: fmean(values) for family, values in found.items()} for name, found in errors.items()
    }


def more_images(
    evidence: Evidence, pair: Pair, quality: float, better: tuple[Pair, float] | None
) -> MoreImages:
    """For the recommended pair with its expected quality; `better`: the next better pair and its quality, None where there is none."""
    grown = growths(evidence)
    next_gain = max(better[1] - quality, 0.0) if better else 0.0
    name = better[0].label if better and next_gain > 0 else None
    instead = (
        f"the next better pair, {name}, would bring {next_gain:+.3f}"
        if name
        else "no other pair is expected to be better"
    )
    families = len({one.family for one in grown})
    if families < FEWEST_FAMILIES:
        why = (
            f"What would more images bring? Not known: there are records of views (DATASET@train10, DATASET@train33 and the whole) "
            f"of {families} unrelated sets, it takes {FEWEST_FAMILIES}"
            if families
            else "What would more images bring? Not known: there are no records of views, DATASET@train10 and DATASET@train33"
        )
        return MoreImages(gains=(), next_pair=name, next_gain=next_gain, errors={}, sentences=(why,))
    model, left_out = PowerModel.of(grown), judged(grown)
    low, high = (max(float(np.quantile(model.powers, q)), 0.0) for q in (0.05, 0.95))
    gains = tuple(
        Gain(
            times=t,
            **{
                key: round(grow(quality, t, b) - quality, 4)
                for key, b in (("gain", model.power()), ("low", low), ("high", high))
            },
        )
        for t in (2.0, 4.0)
    )
    words = [f"{gain.gain:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})" for gain in gains]
    return MoreImages(
        gains=gains,
        next_pair=name,
        next_gain=round(next_gain, 4),
        errors={key: bootstrap(values) for key, values in left_out.items()},
        sentences=(
            f"What would more images bring? Twice as many {words[0]}, four times {words[1]} for {pair.label}; {instead}",
            _judgement(left_out, families),
        ),
    )


def _judgement(left_out: Mapping[str, Mapping[str, float]], families: int) -> str:
    own = bootstrap(left_out["families"])
    rivals = [
        f"{name} {bootstrap(left_out[name]).mean:.3f} (ours {difference(left_out['families'], left_out[name]).verdict})"
        for name in METHODS[1:]
    ]
    return (
        f"more images: on {families} families left out the whole predicted from a third is off by {own.mean:.3f} "
        f"({own.low:.3f} to {own.high:.3f}); {', '.join(rivals)}"
    )
