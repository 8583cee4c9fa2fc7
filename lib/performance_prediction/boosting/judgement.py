"""The verdict of leaving data sets out: who says the level, who the order of the pairs, and what they got wrong; kept on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from pydantic import ValidationError

import lib.performance_prediction.boosting.pair_gaussian
import lib.performance_prediction.boosting.rivals  # noqa: F401  the two register the quick predictors
from lib.files import write_atomically
from lib.frozen import Frozen
from lib.performance_prediction.boosting.bootstrap import (
    Interval,
    bootstrap,
    difference,
    simplest_of_best,
    within_noise_of_best,
)
from lib.performance_prediction.boosting.cells import Pair
from lib.performance_prediction.boosting.contract import (
    FEATURES_VERSION,
    SET_PREDICTORS,
    Regime,
    derived_path,
)
from lib.performance_prediction.boosting.evidence import Evidence
from lib.performance_prediction.boosting.intervals import FamilyResiduals
from lib.performance_prediction.boosting.leave_set_out import LeftOutSet, OnStep, leave_families_out
from lib.performance_prediction.boosting.scores import (
    ANSWER,
    ScoreLine,
    floor_by_family,
    level_by_family,
    mae_by_family,
    order_error,
    regret_by_family,
    score_line,
    spearman_by_family,
    with_answer,
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


class Judgement(Frozen):
    """The verdicts for images that nothing is measured on and for those that were probed. `digest` names the evidence.

    `complete`: models were judged too, not only what is quick. `ablation`: CatBoost without one group of features each.
    """

    digest: str
    features_version: int
    task: str
    metric: str
    domain: str
    epoch: int
    n_runs: int
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
        digest=evidence.digest(),
        features_version=FEATURES_VERSION,
        task=evidence.task,
        metric=evidence.metric,
        domain=evidence.domain or "all",
        epoch=evidence.epoch,
        n_runs=len(evidence.runs),
        families=tuple(sorted({cell.family for cell in evidence.cells})),
        complete=not quick,
        regimes={
            regime: judge_regime(regime, entries)
            for regime, entries in left_out.items()
            if len(regret_by_family(entries, AVERAGES[regime])) > 1  # families with pairs to choose from
        },
    )


def judge_regime(regime: Regime, entries: Sequence[LeftOutSet]) -> RegimeJudgement:
    """Scores every predictor of the left-out sets, chooses the level's and the order's, and says why."""
    names = list(entries[0].predicted)
    simplicity = {name: SET_PREDICTORS[name].simplicity for name in names}
    levels = {name: level_by_family(entries, name) for name in names}
    level = simplest_of_best(levels, simplicity)
    ranking = [name for name in names if regret_by_family(entries, name)]
    answers = {name: with_answer(entries, level, name) for name in ranking}
    order = _best_order(answers, simplicity)
    regrets = {name: regret_by_family(answered, ANSWER) for name, answered in answers.items()}
    floor = floor_by_family(entries)
    averages = AVERAGES[regime]
    return RegimeJudgement(
        scores=tuple(score_line(entries, name) for name in names),
        answer=score_line(answers[order], ANSWER),
        floor=bootstrap(floor) if floor else None,
        level=level,
        order=order,
        order_error=order_error(answers[order], ANSWER),
        reasons=(
            *_level_reasons(levels, level),
            *_order_reasons(regrets, order, averages),
            *_floor_reasons(regrets[order], regrets[averages], floor),
        ),
        cells=tuple(_cells(answers[order], averages)),
    )


def _best_order(answers: Mapping[str, Sequence[LeftOutSet]], simplicity: Mapping[str, int]) -> str:
    """Of those within noise of the least regret: of those within noise of the best ranks: of those within noise of the least
    error, the simplest. All given the level."""
    left = list(answers)
    for losses in (regret_by_family, _rank_losses, mae_by_family):
        found = {name: values for name in left if (values := losses(answers[name], ANSWER))}
        left = [*within_noise_of_best(found)] if found else left
    return min(left, key=lambda name: (simplicity[name], name))


def _rank_losses(entries: Sequence[LeftOutSet], name: str) -> dict[str, float]:
    return {family: -ranks for family, ranks in spearman_by_family(entries, name).items()}


def _level_reasons(levels: Mapping[str, Mapping[str, float]], chosen: str) -> list[str]:
    own = bootstrap(levels[chosen])
    others = [
        f"{name} {difference(values, levels[chosen]).verdict}"
        for name, values in levels.items()
        if name != chosen
    ]
    return [f"level by {chosen}: off by {_words(own)} on left-out families; against it {', '.join(others)}"]


def _order_reasons(regrets: Mapping[str, Mapping[str, float]], chosen: str, averages: str) -> list[str]:
    sentences = [f"order by {chosen}: its first choice misses {_words(bootstrap(regrets[chosen]))}"]
    against = [
        f"{name} {gap.verdict} ({gap.mean:+.3f}, {gap.low:+.3f} to {gap.high:+.3f})"
        for name, values in regrets.items()
        if name != averages
        for gap in [difference(values, regrets[averages])]
    ]
    return [*sentences, f"regret against the order of the averages ({averages}): {', '.join(against)}"]


def _floor_reasons(
    own: Mapping[str, float], averages: Mapping[str, float], floor: Mapping[str, float]
) -> list[str]:
    """What measuring everything would cost, and how much of the way there the order goes."""
    if not floor:
        return ["no noise floor of regret: it takes runs of at least two folds"]
    said = f"noise floor: choosing with every pair measured on half of the images misses {_words(bootstrap(floor))}"
    gap = difference(averages, floor)
    if gap.low <= 0:
        return [f"{said}; the order of the averages cannot be told apart from that or is better"]
    if own == averages:
        return [f"{said}, {_words(gap)} less than the order of the averages"]
    closed = 1 - difference(own, floor).mean / gap.mean
    return [f"{said}; of the distance between the averages and that ({_words(gap)}) {closed:.0%} is closed"]


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


def save_judgement(judgement: Judgement, evidence: Evidence, folder: Path) -> Path:
    """Writes it as JSON; returns the path."""
    path = derived_path(folder, "unseen_sets", evidence, ".json")
    write_atomically(path, judgement.model_dump_json() + "\n")
    return path


def load_judgement(folder: Path, evidence: Evidence) -> Judgement | None:
    """The saved judgement where it was made from exactly this evidence and these features; else None."""
    try:
        path = derived_path(folder, "unseen_sets", evidence, ".json")
        judgement = Judgement.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    fresh = judgement.digest == evidence.digest() and judgement.features_version == FEATURES_VERSION
    return judgement if fresh else None
