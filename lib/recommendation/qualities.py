"""Quality of every possible pair on one data set: measured where it was run, completed where no set has it, else predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lib.errors import TooLittleDataError
from lib.performance_prediction.als.matrix import quality_matrix
from lib.performance_prediction.boosting.cells import Pair
from lib.performance_prediction.boosting.contract import (
    SET_PREDICTORS,
    FittedSetPredictor,
    Floats,
    KnownCells,
    Regime,
)
from lib.performance_prediction.boosting.evidence import Evidence
from lib.performance_prediction.boosting.intervals import FamilyResiduals
from lib.performance_prediction.boosting.judgement import (
    AVERAGES,
    Judgement,
    RegimeJudgement,
    judge,
    load_judgement,
)
from lib.performance_prediction.boosting.scores import ANSWER, combine
from lib.recommendation.answer import Basis, PairQuality, counted
from lib.recommendation.measured import Measured, measured_pairs
from lib.records import DataSetFacts, RunRecord

FEWEST_KNOWN = (
    3  # intervals of probed sets were judged with six known cells; with fewer those of unseen sets are safer
)
COMPLETED_WIDENING = 1.5  # a pair never run anywhere has the error of completion on top of that of prediction
UNKNOWN_SPREAD = 0.25


@dataclass(frozen=True)
class Qualities:
    """All possible pairs, best first. `level`, `order`: who says how high they lie and how they differ; `reasons`: why those.

    `judged`: how such answers did on left-out families, None where there are too few; `complete`: whether models were judged.
    """

    pairs: tuple[PairQuality, ...]
    level: str
    order: str
    reasons: tuple[str, ...]
    judged: RegimeJudgement | None
    complete: bool

    @property
    def typical_error(self) -> float | None:
        """Mean absolute error of such answers on left-out data sets."""
        return self.judged.answer.mae.mean if self.judged else None


def pair_qualities(
    evidence: Evidence, new: DataSetFacts, out_dir: Path, probed: Sequence[RunRecord] = ()
) -> Qualities:
    """Qualities for the data set described by `new`, given what was measured or `probed` on it.

    Level and order come from those that leaving families out has shown to be best: models only where a saved judgement of
    exactly this evidence says so (`boosting.py evaluate` makes it), else what is quick, judged here and now.
    """
    measured = measured_pairs(evidence, new, probed)
    own = {run.data_set.name for run in evidence.runs if run.data_set.fingerprint == new.fingerprint}
    others = evidence.without({evidence.families[name] for name in own}) if own else evidence
    others = others if others.cells else evidence
    regime: Regime = "probed" if measured else "unseen"
    few = 0 < len(measured) < FEWEST_KNOWN
    judgement = _judgement(evidence, out_dir, ("unseen", "probed") if few else (regime,))
    judged = judgement.regimes.get(regime) if judgement else None
    level, order, reasons = _answering(regime, judged, new)
    fitted = {name: _fitted(name, others, out_dir) for name in {level, order}}
    residuals = _residuals(judgement, "unseen" if few else regime, new)
    known = {pair: cell.known for pair, cell in measured.items()}
    said = _said(evidence, fitted[level], fitted[order], new, known)
    spread = _spread(judged)
    pairs = [
        *_measured(measured),
        *_predicted(evidence, said, known, residuals, spread),
        *_completed(evidence, said, known, residuals, spread),
    ]
    ranked = sorted(pairs, key=lambda p: (-p.rank_by, p.pair))
    return Qualities(tuple(ranked), level, order, reasons, judged, bool(judgement and judgement.complete))


def _judgement(evidence: Evidence, out_dir: Path, regimes: Sequence[Regime]) -> Judgement | None:
    if saved := load_judgement(out_dir, evidence):
        return saved
    try:
        return judge(evidence, quick=True, regimes=regimes)
    except TooLittleDataError:
        return None


def _answering(
    regime: Regime, judged: RegimeJudgement | None, new: DataSetFacts
) -> tuple[str, str, tuple[str, ...]]:
    """Who says the level, who the order, and why. No predictor was judged on folders without labels; averages need none."""
    averages = AVERAGES[regime]
    if not new.classes and regime == "unseen":
        why = "without labels the pairs' averages answer: every better predictor reads how the classes lie"
        return averages, averages, (why,)
    if judged is None:
        return averages, averages, ("too few unrelated data sets to judge a predictor: pair means answer",)
    return judged.level, judged.order, judged.reasons


def _fitted(name: str, evidence: Evidence, out_dir: Path) -> FittedSetPredictor:
    if name == "row_model":
        import lib.performance_prediction.boosting.row_model  # registers it
    if name.startswith("catboost"):
        import lib.performance_prediction.boosting.booster  # noqa: F401  registers CatBoost
        from lib.performance_prediction.boosting.files import load_booster

        if loaded := load_booster(out_dir, evidence, name == "catboost_probed"):
            return loaded
    return SET_PREDICTORS[name]().fit(evidence)


def _residuals(judgement: Judgement | None, regime: Regime, new: DataSetFacts) -> FamilyResiduals | None:
    judged = judgement.regimes.get(regime) if judgement else None
    if judged is None:
        return None
    return judged.residuals(ANSWER if new.classes or regime == "probed" else AVERAGES["unseen"])


def _spread(judged: RegimeJudgement | None) -> float:
    """How far a predicted pair typically lies from its place among the others."""
    return judged.order_error if judged else UNKNOWN_SPREAD


def _said(
    evidence: Evidence,
    level: FittedSetPredictor,
    order: FittedSetPredictor,
    new: DataSetFacts,
    known: KnownCells,
) -> Floats:
    """Predicted quality of every pair of the evidence, (n_pairs,): the level of one predictor, the order of another."""
    hidden = np.array([pair not in known for pair in evidence.pairs])
    by_level, by_order = (p.predict(new, evidence.pairs, known) for p in (level, order))
    return combine(by_level, by_order, hidden)


def _measured(measured: Mapping[Pair, Measured]) -> list[PairQuality]:
    """Ranked by their validation parts, which are on another level than the test parts: moved by the mean difference."""
    gaps = [m.known.quality - m.chosen_by for m in measured.values() if m.chosen_by is not None]
    level = float(np.mean(gaps)) if gaps else 0.0
    return [
        _quality(
            pair,
            m.known.quality,
            m.low,
            m.high,
            "measured",
            m.words,
            m.known.quality if m.chosen_by is None else m.chosen_by + level,
            m.known.standard_error,
        )
        for pair, m in measured.items()
    ]


def _predicted(
    evidence: Evidence, said: Floats, known: KnownCells, residuals: FamilyResiduals | None, spread: float
) -> list[PairQuality]:
    low, high = _interval(said, evidence.pairs, residuals)
    found = []
    for i, pair in enumerate(evidence.pairs):
        if pair not in known:
            of_pair = [cell for cell in evidence.cells if cell.pair == pair]
            runs = sum(cell.n_runs for cell in of_pair)
            words = f"{counted(runs, 'run')} on {counted(len(of_pair), 'other data set')}"
            found.append(_quality(pair, said[i], low[i], high[i], "predicted", words, said[i], spread))
    return found


def _completed(
    evidence: Evidence, said: Floats, known: KnownCells, residuals: FamilyResiduals | None, spread: float
) -> list[PairQuality]:
    """Possible pairs that no data set has: ALS says where they stand among the others, the prediction how this set differs."""
    matrix = quality_matrix(evidence)
    holes = {
        Pair(matrix.backbones[i], matrix.heads[j]): (i, j)
        for i, j in np.argwhere(~matrix.measured & matrix.possible).tolist()
    }
    pairs = [pair for pair in holes if pair not in known]
    if not pairs:
        return []
    from lib.performance_prediction.boosting.features import embed_matrix

    filled = embed_matrix(matrix).predict()
    shift = float(np.mean(said - [matrix.effects.quality(pair) for pair in evidence.pairs]))
    completed = np.clip([filled[holes[pair]] + shift for pair in pairs], 0, 1)
    low, high = _interval(completed, pairs, residuals)
    return [
        _quality(
            pair,
            value,
            max(value - COMPLETED_WIDENING * (value - below), 0),
            min(value + COMPLETED_WIDENING * (above - value), 1),
            "completed",
            "never run anywhere: ALS on the other pairs of its backbone and its head",
            value,
            COMPLETED_WIDENING * spread,
        )
        for pair, value, below, above in zip(pairs, completed, low, high, strict=True)
    ]


def _quality(
    pair: Pair,
    quality: float,
    low: float,
    high: float,
    basis: Basis,
    words: str,
    rank_by: float,
    spread: float,
) -> PairQuality:
    numbers = {"quality": quality, "low": low, "high": high, "rank_by": rank_by, "spread": spread}
    rounded = {name: round(float(value), 4) for name, value in numbers.items()}
    return PairQuality(backbone=pair.backbone, head=pair.head, basis=basis, evidence=words, **rounded)


def _interval(
    predicted: Floats, pairs: Sequence[Pair], residuals: FamilyResiduals | None
) -> tuple[Floats, Floats]:
    if residuals is None:
        return np.zeros(len(pairs)), np.ones(len(pairs))
    return residuals.interval(predicted, pairs)
