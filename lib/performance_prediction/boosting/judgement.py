"""The verdict of leaving data sets out: who says the level, who the order of the pairs, and what they got wrong; kept on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

import lib.performance_prediction.boosting.pair_gaussian
import lib.performance_prediction.boosting.rivals  # noqa: F401  the two register the quick predictors
from lib.frozen import Frozen
from lib.performance_prediction.boosting import scores
from lib.performance_prediction.boosting.cells import Pair
from lib.performance_prediction.boosting.contract import SET_PREDICTORS, Derived, Regime
from lib.performance_prediction.boosting.evidence import Evidence
from lib.performance_prediction.boosting.leave_set_out import LeftOutSet, OnStep, leave_families_out
from lib.performance_prediction.boosting.scores import (
    ANSWER,
    ByFamily,
    FamilyResiduals,
    Interval,
    ScoreLine,
    bootstrap,
    difference,
)

QUICK = 10  # predictors of less simplicity are fitted in milliseconds
AVERAGES: dict[Regime, str] = {"unseen": "additive", "probed": "shift_only"}
"""Who orders the pairs as they are on average: what every other order is compared with."""


class LeftOutCell(Frozen):
    """One cell's truth and what was said of it unseen, by the answer and by the pairs' averages."""

    family: str
    pair: Pair
    truth: float
    said: dict[str, float]


class RegimeJudgement(Frozen):
    """All predictors of one regime judged on the same left-out sets.

    `level`, `order`: who says how high the pairs lie, and who how they differ; `answer`: the two together. `order_error`: see scores. `floor`: what choosing
    by half of the images costs on the other half, None without folds. `reasons`: the verdict, one sentence each.
    """

    scores: tuple[ScoreLine, ...]
    answer: ScoreLine
    floor: Interval | None
    level: str
    order: str
    order_error: float
    reasons: tuple[str, ...]
    cells: tuple[LeftOutCell, ...]

    def residuals(self, name: str = ANSWER) -> FamilyResiduals:
        """What the answer (or the averages) got wrong, for intervals."""
        return FamilyResiduals(
            families=tuple(cell.family for cell in self.cells),
            pairs=tuple(cell.pair for cell in self.cells),
            errors=np.array([abs(cell.said[name] - cell.truth) for cell in self.cells]),
        )


class Judgement(Derived):
    """The verdicts for images that nothing is measured on and for those that were probed.

    `complete`: models were judged too, not only what is quick. `ablation`: CatBoost without one group of features each.
    """

    kind: ClassVar[str] = "unseen_sets"

    domain: str
    families: tuple[str, ...]
    complete: bool
    regimes: dict[Regime, RegimeJudgement]
    ablation: tuple[ScoreLine, ...] = ()
    skipped_ablations: tuple[str, ...] = ()


def judge(
    evidence: Evidence,
    quick: bool = False,
    regimes: Sequence[Regime] = ("unseen", "probed"),
    seed: int = 0,
    on_step: OnStep | None = None,
) -> Judgement:
    """Leaves each family out once for all predictors (with `quick` only those fitted in milliseconds) and decides who answers.

    Raises TooLittleDataError with fewer than three families with meta-features.
    """
    if not quick:
        import lib.performance_prediction.boosting.booster
        import lib.performance_prediction.boosting.row_model  # noqa: F401  the two register the models
    names = [n for n in SET_PREDICTORS if not quick or SET_PREDICTORS[n].simplicity < QUICK]
    left_out = leave_families_out(evidence, {n: SET_PREDICTORS[n]() for n in names}, regimes, seed, on_step)
    return Judgement(
        **Derived.stamp(evidence),
        domain=evidence.domain or "all",
        families=tuple(sorted({cell.family for cell in evidence.cells})),
        complete=not quick,
        regimes={
            regime: judge_regime(regime, entries)
            for regime, entries in left_out.items()
            if len(scores.regret_by_family(entries, AVERAGES[regime]))
            > 1  # families with pairs to choose from
        },
    )


def judge_regime(regime: Regime, entries: Sequence[LeftOutSet]) -> RegimeJudgement:
    """Scores every predictor of the left-out sets, chooses the level's and the order's, and says why."""
    names, averages = list(entries[0].predicted), AVERAGES[regime]
    simplicity = {name: SET_PREDICTORS[name].simplicity for name in names}
    levels = {name: scores.level_by_family(entries, name) for name in names}
    level = scores.simplest_of_best(levels, simplicity)
    ranking = [name for name in names if scores.regret_by_family(entries, name)]
    answers = {name: scores.with_answer(entries, level, name) for name in ranking}
    order = _best_order(answers, simplicity)
    regrets = {name: scores.regret_by_family(answered, ANSWER) for name, answered in answers.items()}
    floor = scores.floor_by_family(entries)
    verdicts = [f"{n} {difference(v, levels[level]).verdict}" for n, v in levels.items() if n != level]
    gaps = [(n, difference(v, regrets[averages])) for n, v in regrets.items() if n != averages]
    against = [f"{n} {gap.verdict} ({gap.mean:+.3f}, {gap.low:+.3f} to {gap.high:+.3f})" for n, gap in gaps]
    return RegimeJudgement(
        scores=tuple(scores.score_line(entries, name) for name in names),
        answer=scores.score_line(answers[order], ANSWER),
        floor=bootstrap(floor) if floor else None,
        level=level,
        order=order,
        order_error=scores.order_error(answers[order], ANSWER),
        reasons=(
            f"level by {level}: off by {_mean(levels[level])} on left-out families; against it {', '.join(verdicts)}",
            f"order by {order}: its first choice misses {_mean(regrets[order])}",
            f"regret against the order of the averages ({averages}): {', '.join(against)}",
            _floor_reason(regrets[order], regrets[averages], floor),
        ),
        cells=tuple(_cells(answers[order], averages)),
    )


def _best_order(answers: Mapping[str, Sequence[LeftOutSet]], simplicity: Mapping[str, int]) -> str:
    """Of those within noise of the least regret: of those within noise of the best ranks: of those within noise of the least
    error, the simplest. All given the level."""
    left = list(answers)
    for losses in (scores.regret_by_family, _rank_losses, scores.mae_by_family):
        found = {name: values for name in left if (values := losses(answers[name], ANSWER))}
        left = scores.within_noise_of_best(found) if found else left
    return min(left, key=lambda name: (simplicity[name], name))


def _rank_losses(entries: Sequence[LeftOutSet], name: str) -> ByFamily:
    return {family: -ranks for family, ranks in scores.spearman_by_family(entries, name).items()}


def _floor_reason(own: ByFamily, averages: ByFamily, floor: ByFamily) -> str:
    """What measuring everything would cost, and how much of the way there the order goes."""
    if not floor:
        return "no noise floor of regret: it takes runs of at least two folds"
    said = f"noise floor: choosing with every pair measured on half of the images misses {_mean(floor)}"
    gap, gained = difference(averages, floor), difference(averages, own)
    if gap.mean <= 0 or (gap.low <= 0 and gained.low <= 0):
        return f"{said}; the order of the averages cannot be told apart from that or is better"
    if own == averages:
        return f"{said}, {_words(gap)} less than the order of the averages"
    return (
        f"{said}; the order of the averages misses {_words(gap)} more than that, ours gains {_words(gained)} on it: "
        f"{gained.mean / gap.mean:.0%} of that distance"
    )


def _mean(values: ByFamily) -> str:
    return _words(bootstrap(values))


def _words(interval: Interval) -> str:
    return f"{interval.mean:.3f} ({interval.low:.3f} to {interval.high:.3f})"


def _cells(entries: Sequence[LeftOutSet], averages: str) -> list[LeftOutCell]:
    return [
        LeftOutCell(
            family=entry.family,
            pair=pair,
            truth=round(float(entry.truth[i]), 5),
            said={name: round(float(entry.predicted[name][i]), 5) for name in (ANSWER, averages)},
        )
        for entry in entries
        for i, pair in enumerate(entry.pairs)
        if not entry.revealed[i]
    ]
