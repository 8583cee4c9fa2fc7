"""How predictors did on left-out data sets: error, level, ranking, regret beside the noise floor, intervals; all means over families."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Literal

import numpy as np

from lib.frozen import Frozen
from lib.performance_prediction.boosting.cells import Pair
from lib.performance_prediction.boosting.contract import Floats
from lib.performance_prediction.boosting.leave_set_out import LeftOutSet, regret, spearman
from lib.performance_prediction.table.conformal import grouped_quantile

ANSWER = "answer"
DRAWS = 2000
TAIL = 0.025
FEWEST_FAMILIES = 8  # with fewer their 0.9 quantile says nothing about another one
PRIOR_CELLS = 5.0  # cells that a pair's own error scale is pulled towards the overall one by
SMALLEST_SCALE = 1e-3
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
    said = {"mean": numbers.mean(), "low": low, "high": high, "error": means.std()}
    return Interval(**{name: round(float(number), 5) for name, number in said.items()})


def difference(own: ByFamily, rival: ByFamily) -> Interval:
    """Own minus rival's values on the families that both have: a paired comparison."""
    return bootstrap({family: own[family] - rival[family] for family in own if family in rival})


def simplest_of_best(losses: Mapping[str, ByFamily], simplicity: Mapping[str, int]) -> str:
    """Of the predictors within one standard error of the best (Breiman et al. 1984) the simplest."""
    return min(within_noise_of_best(losses), key=lambda name: (simplicity[name], name))


def within_noise_of_best(losses: Mapping[str, ByFamily]) -> list[str]:
    """Names whose mean loss is at most one (paired) standard error above the least."""
    best = min(losses, key=lambda name: (float(np.mean([*losses[name].values()])), name))
    gaps = {name: difference(values, losses[best]) for name, values in losses.items()}
    return [name for name, gap in gaps.items() if gap.mean <= gap.error]


@cache
def _shares(families: int) -> Floats:
    """What share each family has of each draw, (DRAWS, n_families)."""
    return np.random.default_rng(0).multinomial(families, np.full(families, 1 / families), DRAWS) / families


@dataclass(frozen=True)
class FamilyResiduals:
    """Absolute errors on left-out cells, with the family and the pair of each; `errors`: float array (n_cells,).

    Half a 90 % interval is the conformal quantile of errors over their pair's scale, families weighing alike, times that scale.
    """

    families: tuple[str, ...]
    pairs: tuple[Pair, ...]
    errors: Floats

    @property
    def supports_interval(self) -> bool:
        """Whether there are enough families."""
        return len(set(self.families)) >= FEWEST_FAMILIES

    def without(self, family: str) -> FamilyResiduals:
        """The residuals of all other families."""
        keep = [i for i, name in enumerate(self.families) if name != family]
        families, pairs = (tuple(all_of[i] for i in keep) for all_of in (self.families, self.pairs))
        return FamilyResiduals(families, pairs, self.errors[keep])  # type: ignore[arg-type]

    def interval(self, predicted: Floats, pairs: Sequence[Pair]) -> tuple[Floats, Floats]:
        """Lower and upper ends, (n_pairs,) each, clipped to [0, 1]; [0, 1] itself with too few families."""
        if not self.supports_interval:
            return np.zeros(len(pairs)), np.ones(len(pairs))
        half_width = self._scaled_quantile * self._scales(pairs)
        return np.clip(predicted - half_width, 0, 1), np.clip(predicted + half_width, 0, 1)

    def _scales(self, pairs: Sequence[Pair]) -> Floats:
        """Typical error of each pair, (n_pairs,): its own mean error, shrunk towards that of all cells."""
        overall = max(float(self.errors.mean()), SMALLEST_SCALE)
        shrunk = {
            pair: max((sum(own) + PRIOR_CELLS * overall) / (len(own) + PRIOR_CELLS), SMALLEST_SCALE)
            for pair, own in self._by_pair.items()
        }
        return np.array([shrunk.get(pair, overall) for pair in pairs])

    @cached_property
    def _by_pair(self) -> dict[Pair, list[float]]:
        own: defaultdict[Pair, list[float]] = defaultdict(list)
        for pair, error in zip(self.pairs, self.errors.tolist(), strict=True):
            own[pair].append(error)
        return own

    @cached_property
    def _scaled_quantile(self) -> float:
        return grouped_quantile(self.errors / self._scales(self.pairs), self.families)


class ScoreLine(Frozen):
    """One predictor's scores: means over families (relatives averaged first), with bootstrap intervals over families.

    `mae` over the pairs it was not told, `level` the distance of their means; `spearman` None where it does not rank; `regret_1`,
    `regret_3`: best quality minus the best among the first 1 or 3 recommended, on images that chose nothing where there are folds;
    `coverage`, `width` of 90 % intervals from the other families' residuals; `by_family`: MAE of each.
    """

    name: str
    mae: Interval
    level: Interval
    spearman: Interval | None
    regret_1: Interval | None
    regret_3: Interval | None
    coverage: float | None
    width: float | None
    by_family: dict[str, float]


def with_answer(entries: Sequence[LeftOutSet], level: str, order: str) -> list[LeftOutSet]:
    """The left-out sets with one more predictor, the answer: the mean level of one, the departures from it of another."""

    def answered(said: Mapping[str, Floats], moved: np.typing.NDArray[np.bool_]) -> Mapping[str, Floats]:
        return {**said, ANSWER: combine(said[level], said[order], moved)}

    def ranked(entry: LeftOutSet) -> Mapping[str, Floats]:
        """Where the known cells are predicted too, all pairs are moved alike, which ranks them as the order does."""
        if order in entry.shrunk:
            return {**entry.halved, ANSWER: entry.halved[order]}
        return answered(entry.halved, ~entry.revealed)

    return [replace(e, predicted=answered(e.predicted, ~e.revealed), halved=ranked(e)) for e in entries]


def combine(level: Floats, order: Floats, hidden: np.typing.NDArray[np.bool_]) -> Floats:
    """The `order` (…, n_pairs) moved to the mean of `level` over the `hidden` pairs (n_pairs,), in [0, 1]; others are left.

    >>> combine(np.array([0.5, 0.7]), np.array([0.9, 0.8]), np.array([True, True]))
    array([0.65, 0.55])
    """
    if not hidden.any() or not order.size:
        return order
    shift = level[..., hidden].mean(-1, keepdims=True) - order[..., hidden].mean(-1, keepdims=True)
    return np.where(hidden, np.clip(order + shift, 0, 1), order)


def family_means(entries: Sequence[LeftOutSet], value: Callable[[LeftOutSet], float | None]) -> ByFamily:
    """Family → mean of `value` over its data sets; families where it is nowhere defined are left out."""
    found: dict[str, list[float]] = {}
    for entry in entries:
        if (number := value(entry)) is not None:
            found.setdefault(entry.family, []).append(number)
    return {family: float(np.mean(numbers)) for family, numbers in found.items()}


def mae_by_family(entries: Sequence[LeftOutSet], name: str) -> ByFamily:
    """Mean absolute error over the pairs that the predictor was not told."""
    return family_means(entries, lambda e: _mean(np.abs(e.errors(name))))


def level_by_family(entries: Sequence[LeftOutSet], name: str) -> ByFamily:
    """How far the mean over the pairs that were not told is off."""
    return family_means(entries, lambda e: None if (off := _mean(e.errors(name))) is None else abs(off))


def order_error(entries: Sequence[LeftOutSet], name: str) -> float:
    """Standard error of a pair's place among the others: of the departures from the mean over the pairs that were not told."""
    squared = family_means(entries, lambda e: None if e.revealed.all() else float(e.errors(name).var()))
    return round(float(np.sqrt(np.mean([*squared.values()]))), 5)


def spearman_by_family(entries: Sequence[LeftOutSet], name: str) -> ByFamily:
    """Rank correlation over the pairs that were not told."""
    return family_means(entries, lambda e: spearman(e.predicted[name][~e.revealed], e.truth[~e.revealed]))


def regret_by_family(entries: Sequence[LeftOutSet], name: str, count: int = 1) -> ByFamily:
    """What the first `count` pairs miss: told half of the images and judged on the other, or on all where there is one fold."""

    def missed(e: LeftOutSet) -> float | None:
        if not len(e.judging):
            return regret(e.predicted[name], e.truth, count)
        whole = np.isfinite(e.judging).all(axis=0)
        return regret(e.halved[name][:, whole], e.judging[:, whole], count)

    return family_means(entries, missed)


def floor_by_family(entries: Sequence[LeftOutSet]) -> ByFamily:
    """What choosing with every pair measured on half of the images costs on the other half; empty without folds."""

    def missed(e: LeftOutSet) -> float | None:
        whole = np.isfinite(e.judging).all(axis=0)
        return regret(e.choosing[:, whole], e.judging[:, whole], 1) if len(e.judging) else None

    return family_means(entries, missed)


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if len(values) else None


def score_line(entries: Sequence[LeftOutSet], name: str) -> ScoreLine:
    """All scores of one predictor."""
    mae, ranks = mae_by_family(entries, name), spearman_by_family(entries, name)
    regrets = {f"regret_{k}": regret_by_family(entries, name, k) for k in (1, 3)}
    return ScoreLine(
        name=name,
        mae=bootstrap(mae),
        level=bootstrap(level_by_family(entries, name)),
        **{key: bootstrap(v) if v else None for key, v in {"spearman": ranks, **regrets}.items()},
        **_coverage(entries, name),
        by_family={family: round(value, 5) for family, value in mae.items()},
    )


def _coverage(entries: Sequence[LeftOutSet], name: str) -> dict[str, float | None]:
    """Coverage and width of intervals from the residuals of the other families; None with too few of them."""
    residuals = _residuals_of(entries, name)
    others = {family: residuals.without(family) for family in {e.family for e in entries}}
    if not all(rest.supports_interval for rest in others.values()):
        return {"coverage": None, "width": None}

    def ends(e: LeftOutSet) -> tuple[Floats, Floats]:
        return others[e.family].interval(e.predicted[name], e.pairs)

    def covered(e: LeftOutSet) -> float | None:
        low, high = ends(e)
        return _mean(((low <= e.truth) & (e.truth <= high))[~e.revealed].astype(float))

    means = {
        "coverage": family_means(entries, covered),
        "width": family_means(entries, lambda e: _mean((np.subtract(*ends(e)[::-1]))[~e.revealed])),
    }
    return {key: round(float(np.mean([*values.values()])), 5) for key, values in means.items()}


def _residuals_of(entries: Sequence[LeftOutSet], name: str) -> FamilyResiduals:
    """What one predictor got wrong on the pairs that it was not told."""
    hidden = [
        (e.family, pair) for e in entries for pair, told in zip(e.pairs, e.revealed, strict=True) if not told
    ]
    errors = np.concatenate([np.abs(e.errors(name)) for e in entries])
    return FamilyResiduals(tuple(f for f, _ in hidden), tuple(p for _, p in hidden), errors)
