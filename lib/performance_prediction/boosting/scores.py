"""How predictors did on left-out data sets: error, level, ranking, regret beside the noise floor, coverage of intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from lib.frozen import Frozen
from lib.performance_prediction.boosting.bootstrap import Interval, bootstrap
from lib.performance_prediction.boosting.contract import Floats
from lib.performance_prediction.boosting.intervals import FamilyResiduals
from lib.performance_prediction.boosting.leave_set_out import LeftOutSet, regret, spearman

ANSWER = "answer"
FLOOR = "noise floor"
ByFamily = dict[str, float]


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
    return [
        replace(
            e,
            predicted={**e.predicted, ANSWER: combine(e.predicted[level], e.predicted[order], ~e.revealed)},
            halved={**e.halved, ANSWER: combine(e.halved[level], e.halved[order], ~e.revealed)},
        )
        for e in entries
    ]


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
    return family_means(entries, lambda e: _over_hidden(e, np.abs(e.predicted[name] - e.truth)))


def level_by_family(entries: Sequence[LeftOutSet], name: str) -> ByFamily:
    """How far the mean over the pairs that were not told is off."""

    def off(entry: LeftOutSet) -> float | None:
        signed = _over_hidden(entry, entry.predicted[name] - entry.truth)
        return None if signed is None else abs(signed)

    return family_means(entries, off)


def order_error(entries: Sequence[LeftOutSet], name: str) -> float:
    """Standard error of a pair's place among the others: of the departures from the mean over the pairs that were not told."""

    def squared(entry: LeftOutSet) -> float | None:
        errors = (entry.predicted[name] - entry.truth)[~entry.revealed]
        return float(errors.var()) if len(errors) else None

    return round(float(np.sqrt(np.mean(list(family_means(entries, squared).values())))), 5)


def spearman_by_family(entries: Sequence[LeftOutSet], name: str) -> ByFamily:
    """Rank correlation over the pairs that were not told."""
    return family_means(entries, lambda e: spearman(e.predicted[name][~e.revealed], e.truth[~e.revealed]))


def regret_by_family(entries: Sequence[LeftOutSet], name: str, count: int = 1) -> ByFamily:
    """What the first `count` pairs miss: told half of the images and judged on the other, or on all where there is one fold."""

    def missed(entry: LeftOutSet) -> float | None:
        if len(entry.judging):
            return regret(entry.halved[name], entry.judging, count)
        return regret(entry.predicted[name], entry.truth, count)

    return family_means(entries, missed)


def floor_by_family(entries: Sequence[LeftOutSet]) -> ByFamily:
    """What choosing with every pair measured on half of the images costs on the other half; empty without folds."""
    return family_means(entries, lambda e: regret(e.choosing, e.judging, 1) if len(e.judging) else None)


def _over_hidden(entry: LeftOutSet, values: Floats) -> float | None:
    hidden = ~entry.revealed
    return float(values[hidden].mean()) if hidden.any() else None


def score_line(entries: Sequence[LeftOutSet], name: str) -> ScoreLine:
    """All scores of one predictor."""
    mae = mae_by_family(entries, name)
    ranks = spearman_by_family(entries, name)
    covered, widths = _coverage(entries, name)
    return ScoreLine(
        name=name,
        mae=bootstrap(mae),
        level=bootstrap(level_by_family(entries, name)),
        spearman=_some(ranks),
        regret_1=_some(regret_by_family(entries, name, 1)),
        regret_3=_some(regret_by_family(entries, name, 3)),
        coverage=covered,
        width=widths,
        by_family={family: round(value, 5) for family, value in mae.items()},
    )


def _some(values: Mapping[str, float]) -> Interval | None:
    return bootstrap(values) if values else None


def _coverage(entries: Sequence[LeftOutSet], name: str) -> tuple[float | None, float | None]:
    """Coverage and width of intervals from the residuals of the other families; None with too few of them."""
    residuals = residuals_of(entries, name)
    others = {entry.family: residuals.without(entry.family) for entry in entries}
    if not all(rest.supports_interval for rest in others.values()):
        return None, None
    ends = {e.data_set: others[e.family].interval(e.predicted[name], e.pairs) for e in entries}

    def covered(entry: LeftOutSet) -> float | None:
        low, high = ends[entry.data_set]
        return _over_hidden(entry, ((low <= entry.truth) & (entry.truth <= high)).astype(float))

    def width(entry: LeftOutSet) -> float | None:
        low, high = ends[entry.data_set]
        return _over_hidden(entry, high - low)

    return _mean(family_means(entries, covered)), _mean(family_means(entries, width))


def _mean(values: Mapping[str, float]) -> float:
    return round(float(np.mean(list(values.values()))), 5)


def residuals_of(entries: Sequence[LeftOutSet], name: str) -> FamilyResiduals:
    """What one predictor got wrong on the pairs that it was not told."""
    hidden = [~entry.revealed for entry in entries]
    return FamilyResiduals(
        families=tuple(e.family for e, h in zip(entries, hidden, strict=True) for _ in range(h.sum())),
        pairs=tuple(
            p
            for e, h in zip(entries, hidden, strict=True)
            for p, kept in zip(e.pairs, h, strict=True)
            if kept
        ),
        errors=np.concatenate(
            [np.abs(e.predicted[name] - e.truth)[h] for e, h in zip(entries, hidden, strict=True)]
        ),
    )
