"""Quality of every possible pair on one data set: measured where it was run, completed where no set has it, else predicted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lib.errors import TooLittleDataError
from lib.performance_prediction.als.matrix import quality_matrix
from lib.performance_prediction.boosting.cells import Cell, Pair, cell_of, pair_of
from lib.performance_prediction.boosting.contract import (
    SET_PREDICTORS,
    FittedSetPredictor,
    Floats,
    Known,
    KnownCells,
    Regime,
)
from lib.performance_prediction.boosting.evidence import Evidence
from lib.performance_prediction.boosting.judgement import AVERAGES, Judgement, RegimeJudgement, judge
from lib.performance_prediction.boosting.saved_row import SavedRowModel
from lib.performance_prediction.boosting.scores import ANSWER, FamilyResiduals, combine
from lib.recommendation.answer import Basis, PairQuality, counted
from lib.records import CHANCE_HEAD, DataSetFacts, RunRecord
from lib.records.intervals import NORMAL_90, around

FEWEST_KNOWN = 3  # intervals of probed sets were judged with all that a probe measures; with fewer those of unseen sets are safer
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


@dataclass(frozen=True)
class _Doubt:
    """How far what is not measured may be off: left-out `residuals`; `spread` of a pair's place among the others."""

    residuals: FamilyResiduals | None
    spread: float

    def interval(self, said: Floats, pairs: Sequence[Pair]) -> tuple[Floats, Floats]:
        """Lower and upper ends; all of [0, 1] where nothing could be judged."""
        nothing = np.zeros(len(pairs)), np.ones(len(pairs))
        return nothing if self.residuals is None else self.residuals.interval(said, pairs)


def pair_qualities(
    evidence: Evidence, new: DataSetFacts, out_dir: Path, probed: Sequence[RunRecord] = ()
) -> Qualities:
    """Qualities for the data set described by `new`, given what was measured or `probed` on it.

    Level and order come from those that leaving families out has shown to be best: models only where a saved judgement of
    exactly this evidence says so (`boosting.py evaluate` makes it), else what is quick, judged here and now. No predictor
    was judged on folders without labels: there the averages answer, which need none.
    """
    measured = measured_pairs(evidence, new, probed)
    others = evidence.without(evidence.own_families(new))
    others = others if others.cells else evidence
    regime: Regime = "probed" if measured else "unseen"
    wary: Regime = "unseen" if len(measured) < FEWEST_KNOWN else "probed"
    try:
        saved = Judgement.load(out_dir, evidence)
        judgement = saved or judge(evidence, quick=True, regimes=sorted({wary, regime}))
    except TooLittleDataError:
        judgement = None
    regimes = judgement.regimes if judgement else {}
    judged, doubted = regimes.get(regime), regimes.get(wary)
    level = order = AVERAGES[regime]
    reasons: tuple[str, ...] = ("too few unrelated data sets to judge a predictor: pair means answer",)
    if not new.classes and regime == "unseen":
        reasons = (
            "without labels the pairs' averages answer: every better predictor reads how the classes lie",
        )
    elif judged:
        level, order, reasons = judged.level, judged.order, judged.reasons
    answering = ANSWER if new.classes or wary == "probed" else AVERAGES[wary]
    residuals = doubted.residuals(answering) if doubted else None
    doubt = _Doubt(residuals, judged.order_error if judged else UNKNOWN_SPREAD)
    fitted = {name: _fitted(name, others, evidence, out_dir, regime) for name in {level, order}}
    known = {pair: Known.of(m.cell) for pair, m in measured.items()}
    by_level, by_order = (fitted[name].predict(new, evidence.pairs, known) for name in (level, order))
    hidden = np.array([pair not in known for pair in evidence.pairs])
    said = combine(by_level, by_order, hidden)
    own = _measured(measured)
    if hidden.any():  # where everything is measured, the validation parts choose
        own = _ranked(own, fitted[order], new, evidence, float((said - by_order)[hidden].mean()))
    pairs = [
        *own,
        *_predicted(evidence, said, known, doubt),
        *_completed(evidence, said, known, doubt),
    ]
    ranked = sorted(pairs, key=lambda p: (-p.rank_by, p.pair))
    return Qualities(tuple(ranked), level, order, reasons, judged, bool(judgement and judgement.complete))


def _fitted(
    name: str, others: Evidence, evidence: Evidence, out_dir: Path, regime: Regime
) -> FittedSetPredictor:
    """As saved where it was fitted on exactly the `others`, else fitted on them now.

    CatBoost's setting, one of three, is taken from what was saved for all of the `evidence`: it was chosen by means over all families,
    of which those that the new set belongs to are one in dozens; its trees never see them.
    """
    saved: FittedSetPredictor | None = None
    if name == "row_model":
        if regime == "unseen" and (saved := SavedRowModel.load(out_dir, others)):
            return saved
        import lib.performance_prediction.boosting.row_model  # noqa: F401  registers it
    if name.startswith("catboost"):
        from lib.performance_prediction.boosting.booster import fit_booster
        from lib.performance_prediction.boosting.files import load_booster

        probed = name == "catboost_probed"
        saved = load_booster(out_dir, others, probed)
        if saved is None and (whole := load_booster(out_dir, evidence, probed)):
            return fit_booster(others, whole.setting)
    return saved or SET_PREDICTORS[name]().fit(others)


def _measured(measured: Mapping[Pair, Measured]) -> list[PairQuality]:
    """Ranked by their validation parts, which are on another level than the test parts: moved by the mean difference."""
    gaps = [m.cell.quality - m.cell.validation for m in measured.values() if m.cell.validation is not None]
    level = float(np.mean(gaps)) if gaps else 0.0
    return [
        _quality(
            pair,
            "measured",
            m.words,
            (m.cell.quality, m.low, m.high),
            m.cell.quality if m.cell.validation is None else m.cell.validation + level,
            m.cell.standard_error or 0.0,
        )
        for pair, m in measured.items()
    ]


def _ranked(
    pairs: Sequence[PairQuality],
    order: FittedSetPredictor,
    new: DataSetFacts,
    evidence: Evidence,
    shift: float,
) -> list[PairQuality]:
    """Measured pairs, ranked by what `order` thinks of them given all of them, moved by `shift` to where it puts the others: the best of
    some measured ones was also lucky. As they are where it knows nothing better than what was measured."""
    if not order.shrinks_known:
        return list(pairs)
    among = {one.pair: Known(one.rank_by, one.spread) for one in pairs}
    placed = [pair for pair in evidence.pairs if pair in among]
    ranks = dict(zip(placed, (order.predict(new, placed, among) + shift).tolist(), strict=True))
    return [one.model_copy(update={"rank_by": round(ranks.get(one.pair, one.rank_by), 4)}) for one in pairs]


def _predicted(evidence: Evidence, said: Floats, known: KnownCells, doubt: _Doubt) -> list[PairQuality]:
    ends = zip(said, *doubt.interval(said, evidence.pairs), strict=True)
    found = []
    for pair, numbers in zip(evidence.pairs, ends, strict=True):
        if pair not in known:
            of_pair = [cell.n_runs for cell in evidence.cells if cell.pair == pair]
            words = f"{counted(sum(of_pair), 'run')} on {counted(len(of_pair), 'other data set')}"
            found.append(_quality(pair, "predicted", words, numbers, numbers[0], doubt.spread))
    return found


def _completed(evidence: Evidence, said: Floats, known: KnownCells, doubt: _Doubt) -> list[PairQuality]:
    """Possible pairs that no data set has: ALS says where they stand among the others, the prediction how this set differs."""
    matrix = quality_matrix(evidence)
    places = np.argwhere(~matrix.measured & matrix.possible).tolist()
    holes = {Pair(matrix.backbones[i], matrix.heads[j]): (i, j) for i, j in places}
    pairs = [pair for pair in holes if pair not in known]
    if not pairs:
        return []
    from lib.performance_prediction.boosting.features import embed_matrix

    filled = embed_matrix(matrix).predict()
    shift = float(np.mean(said - [matrix.effects.quality(pair) for pair in evidence.pairs]))
    completed = np.clip([filled[holes[pair]] + shift for pair in pairs], 0, 1)
    low, high = (
        np.clip(completed + COMPLETED_WIDENING * (end - completed), 0, 1)
        for end in doubt.interval(completed, pairs)
    )
    words = "never run anywhere: ALS on the other pairs of its backbone and its head"
    return [
        _quality(pair, "completed", words, numbers, numbers[0], COMPLETED_WIDENING * doubt.spread)
        for pair, numbers in zip(pairs, zip(completed, low, high, strict=True), strict=True)
    ]


def _quality(
    pair: Pair, basis: Basis, words: str, ends: tuple[float, float, float], rank_by: float, spread: float
) -> PairQuality:
    """`ends`: the quality, and the lower and upper end of its interval."""
    names = ("quality", "low", "high", "rank_by", "spread")
    numbers = {n: round(float(x), 4) for n, x in zip(names, (*ends, rank_by, spread), strict=True)}
    return PairQuality(backbone=pair.backbone, head=pair.head, basis=basis, evidence=words, **numbers)


@dataclass(frozen=True)
class Measured:
    """A pair's cell on the data set, with the 90 % interval of one more run on other test images; `words`: where from."""

    cell: Cell
    low: float
    high: float
    words: str


def measured_pairs(
    evidence: Evidence, facts: DataSetFacts, probed: Sequence[RunRecord] = ()
) -> dict[Pair, Measured]:
    """The pairs with runs whose data set has the fingerprint of `facts`, and those that were `probed` and never run on it."""
    if not facts.fingerprint:
        return {}
    own = [run for run in evidence.runs if run.data_set.fingerprint == facts.fingerprint]
    found = {pair: _measured_cell(runs, evidence, probed=True) for pair, runs in _by_pair(probed).items()}
    found |= {pair: _measured_cell(runs, evidence, probed=False) for pair, runs in _by_pair(own).items()}
    return {pair: cell for pair, cell in found.items() if cell is not None}


def _by_pair(runs: Iterable[RunRecord]) -> dict[Pair, list[RunRecord]]:
    by_pair: defaultdict[Pair, list[RunRecord]] = defaultdict(list)
    for run in runs:
        if run.head.name != CHANCE_HEAD:
            by_pair[pair_of(run)].append(run)
    return by_pair


def _measured_cell(runs: list[RunRecord], evidence: Evidence, probed: bool) -> Measured | None:
    """Spread over seeds (Student's t for one more draw) and over test images, added in squares."""
    qualities = [q for run in runs if (q := run.quality(metric=evidence.metric)) is not None]
    if not qualities:
        return None
    cell, images = cell_of(runs, "", evidence.epoch, evidence.metric), runs[0].data_set.n_test
    counting = float(
        np.sqrt(cell.quality * (1 - cell.quality) / max(images, 1))
    )  # of a share of so many images
    cell = replace(cell, standard_error=cell.standard_error or counting)
    half = float(np.hypot(_spread_of_seeds(qualities), NORMAL_90 * (cell.standard_error or 0.0)))
    place = f"probed on {images} of its images" if probed else "on this very data set"
    return Measured(cell, *around(cell.quality, half), f"{counted(len(runs), 'run')} {place}")


def _spread_of_seeds(qualities: list[float]) -> float:
    if len(qualities) < 2:
        return 0.0
    from scipy.special import stdtrit  # a second of import that most answers do not need

    n = len(qualities)
    return float(stdtrit(n - 1, 0.95) * np.std(qualities, ddof=1) * np.sqrt(1 + 1 / n))
