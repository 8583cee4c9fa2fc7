"""Quality of every possible pair on one data set: measured where it was run, completed where no set has it, else predicted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import lib.performance_prediction.boosting.rivals  # noqa: F401  registers the rivals
from lib.errors import TooLittleDataError
from lib.performance_prediction.als.matrix import quality_matrix
from lib.performance_prediction.boosting.contract import (
    CATBOOST,
    CATBOOST_PROBED,
    ROW_MODEL,
    SET_PREDICTORS,
    FittedSetPredictor,
)
from lib.performance_prediction.boosting.evidence import Evidence, Pair
from lib.performance_prediction.boosting.family_intervals import FamilyResiduals
from lib.performance_prediction.boosting.judgement import Judgement, load_judgement
from lib.recommendation.answer import Basis
from lib.recommendation.measured import Measured, measured_pairs
from lib.records import DataSetFacts

PRIOR_PAIRS = 2.0  # measured pairs that the shift seen on this very set is shrunk by
COMPLETED_WIDENING = 1.5  # a pair never run anywhere has the error of completion on top of that of prediction


@dataclass(frozen=True)
class Estimate:
    """Quality of one pair with its 90 % interval, what it rests on, and that in words."""

    pair: Pair
    quality: float
    low: float
    high: float
    basis: Basis
    evidence: str


UNLABELLED = "additive"


@dataclass(frozen=True)
class Estimates:
    """Estimates of all possible pairs, best first; `judgement` None where too few families allow none."""

    pairs: tuple[Estimate, ...]
    predictor: str
    reason: str
    judgement: Judgement | None
    models_not_judged: bool

    @property
    def typical_error(self) -> float | None:
        """Mean absolute error of the predictor on left-out data sets."""
        return self.judgement.score(self.predictor).mae if self.judgement else None


def estimate_pairs(
    evidence: Evidence, facts: Mapping[str, DataSetFacts], new: DataSetFacts, out_dir: Path
) -> Estimates:
    """Estimates for the data set described by `new`.

    The predictor is the one that leaving data sets out has shown to be best: CatBoost only where a saved judgement of
    exactly these runs says so (`boosting.py evaluate` makes it), else the best trivial rival, judged here and now.
    """
    from lib.performance_prediction.boosting.rival_judgement import judge_rivals

    saved = load_judgement(out_dir, evidence)
    judgement = saved
    if judgement is None:
        try:
            judgement = judge_rivals(evidence, facts)
        except TooLittleDataError:
            judgement = None
    name, reason = _answering(judgement, new)
    fitted = _fitted(name, evidence, facts, out_dir)
    residuals = judgement.residuals(name) if judgement else None
    estimates = [
        *_known_pairs(evidence, new, fitted, residuals),
        *_completed_pairs(evidence, new, fitted, residuals),
    ]
    ranked = sorted(estimates, key=lambda e: (-e.quality, e.pair))
    return Estimates(tuple(ranked), name, reason, judgement, models_not_judged=saved is None)


def _answering(judgement: Judgement | None, new: DataSetFacts) -> tuple[str, str]:
    """The predictor judged best in the regime of use, and why: with landmarks only for a folder that has them.

    No predictor was judged on folders without labels, and CatBoost's level is far off there; averages need none.
    """
    if judgement is None:
        return "additive", "too few unrelated data sets to judge a predictor: pair means answer"
    if not new.classes:
        return (
            UNLABELLED,
            "without labels the pairs' averages answer: every better predictor reads how the classes lie",
        )
    if new.landmarks:
        return judgement.used_probed, judgement.reason_probed
    return judgement.used, judgement.reason


def _fitted(
    name: str, evidence: Evidence, facts: Mapping[str, DataSetFacts], out_dir: Path
) -> FittedSetPredictor:
    if name == ROW_MODEL:
        import lib.performance_prediction.boosting.row_model  # registers it
    if name in (CATBOOST, CATBOOST_PROBED):
        import lib.performance_prediction.boosting.booster  # noqa: F401  registers CatBoost
        from lib.performance_prediction.boosting.files import load_booster

        if loaded := load_booster(out_dir, evidence, probed=name == CATBOOST_PROBED):
            return loaded
    return SET_PREDICTORS[name]().fit(evidence, facts)


def _known_pairs(
    evidence: Evidence, new: DataSetFacts, fitted: FittedSetPredictor, residuals: FamilyResiduals | None
) -> list[Estimate]:
    """Pairs that some data set has: measured on this very one, or predicted for it."""
    pairs = evidence.pairs
    measured = measured_pairs(evidence, new)
    predicted = fitted.predict(new, pairs)
    predicted = np.clip(predicted + _shift(pairs, predicted, measured), 0, 1)
    low, high = _interval(predicted, pairs, residuals)
    sets = {pair: sum(cell.pair == pair for cell in evidence.cells) for pair in pairs}
    runs = {pair: sum(c.n_runs for c in evidence.cells if c.pair == pair) for pair in pairs}
    estimates = []
    for i, pair in enumerate(pairs):
        if own := measured.get(pair):
            words = f"{_counted(own.n_runs, 'run')} on this very data set"
            estimates.append(Estimate(pair, own.quality, own.low, own.high, "measured", words))
        else:
            words = f"{_counted(runs[pair], 'run')} on {_counted(sets[pair], 'other data set')}"
            estimates.append(
                Estimate(pair, float(predicted[i]), float(low[i]), float(high[i]), "predicted", words)
            )
    return estimates


def _completed_pairs(
    evidence: Evidence, new: DataSetFacts, fitted: FittedSetPredictor, residuals: FamilyResiduals | None
) -> list[Estimate]:
    """Possible pairs that no data set has: ALS says where they stand among the others, the predictor how this set differs."""
    matrix = quality_matrix(evidence)
    holes = [
        (i, j, Pair(matrix.backbones[i], matrix.heads[j]))
        for i, j in np.argwhere(~matrix.measured & matrix.possible).tolist()
    ]
    if not holes:
        return []
    from lib.performance_prediction.boosting.features import embed_matrix

    said = embed_matrix(matrix).predict()
    known = evidence.pairs
    on_average = np.array([matrix.effects.quality(pair) for pair in known])
    shift = float(np.mean(fitted.predict(new, known) - on_average))
    completed = np.clip(np.array([said[i, j] for i, j, _ in holes]) + shift, 0, 1)
    low, high = _interval(completed, [pair for _, _, pair in holes], residuals)
    return [
        Estimate(
            pair,
            float(value),
            float(max(value - COMPLETED_WIDENING * (value - below), 0)),
            float(min(value + COMPLETED_WIDENING * (above - value), 1)),
            "completed",
            "never run anywhere: ALS on the other pairs of its backbone and its head",
        )
        for (_, _, pair), value, below, above in zip(holes, completed, low, high, strict=True)
    ]


def _shift(pairs: tuple[Pair, ...], predicted: np.ndarray, measured: Mapping[Pair, Measured]) -> float:
    """How much this set lies above its prediction, from the pairs measured on it, shrunk towards nothing."""
    gaps = [measured[pair].quality - predicted[i] for i, pair in enumerate(pairs) if pair in measured]
    return float(sum(gaps) / (len(gaps) + PRIOR_PAIRS)) if gaps else 0.0


def _interval(
    predicted: np.ndarray, pairs: tuple[Pair, ...] | list[Pair], residuals: FamilyResiduals | None
) -> tuple[np.ndarray, np.ndarray]:
    if residuals is None:
        return np.zeros(len(pairs)), np.ones(len(pairs))
    return residuals.interval(predicted, pairs)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
