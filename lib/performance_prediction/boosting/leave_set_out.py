"""Judges predictors on data sets they have not seen: every family is left out once, relatives with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from lib.errors import TooLittleDataError
from lib.performance_prediction.boosting import contract
from lib.performance_prediction.boosting.cells import Cell, Pair
from lib.performance_prediction.boosting.contract import Floats, Known, KnownCells, Regime
from lib.performance_prediction.boosting.evidence import Evidence

OnStep = Callable[[str], None]

FEWEST_FAMILIES = 3
MOST_TURNS = 12  # with more families several are left out together: fits are dear
MOST_HALVES = 10


@dataclass(frozen=True)
class LeftOutSet:
    """One data set that no predictor had seen, nor any of its relatives.

    `truth`: measured quality of its pairs, (n_pairs,); `revealed`: bool, (n_pairs,), which of them the predictors were told.
    `predicted`: predictor → (n_pairs,), revealed cells as measured. `choosing`, `judging`: (n_halves, n_pairs), the quality on one
    half of the folds and on the other, for several ways of halving; `halved`: predictor → (n_halves, n_pairs), what it says
    when told the choosing half of the revealed cells; `shrunk`: whoever says what it thinks of those cells, too, instead of repeating
    them. None of these where the cells share no two folds; NaN for pairs that were run on fewer folds than others, which nothing can
    be chosen by.
    """

    data_set: str
    family: str
    pairs: tuple[Pair, ...]
    truth: Floats
    revealed: npt.NDArray[np.bool_]
    predicted: Mapping[str, Floats]
    choosing: Floats
    judging: Floats
    halved: Mapping[str, Floats]
    shrunk: frozenset[str] = frozenset()

    def errors(self, name: str) -> Floats:
        """What `name` said minus the truth, of the pairs that it was not told."""
        return (self.predicted[name] - self.truth)[~self.revealed]


def leave_families_out(
    evidence: Evidence,
    predictors: Mapping[str, contract.SetPredictor],
    regimes: Sequence[Regime] = ("unseen", "probed"),
    seed: int = 0,
    on_step: OnStep | None = None,
) -> dict[Regime, list[LeftOutSet]]:
    """Predictions for each data set with facts, from fits without its whole family. `on_step(families)` before each turn.

    In the regime "probed" the probe's cells of the set are known; a set without any is not judged there. Raises
    TooLittleDataError with fewer than three families.
    """
    by_set: dict[str, list[Cell]] = {}
    for cell in evidence.cells:
        if cell.data_set in evidence.facts:
            by_set.setdefault(cell.data_set, []).append(cell)
    families = sorted({cells[0].family for cells in by_set.values()})
    if len(families) < FEWEST_FAMILIES:
        raise TooLittleDataError(
            f"leaving whole data sets out needs runs on at least {FEWEST_FAMILIES} unrelated data sets with "
            f"meta-features, there are {len(families)} ({', '.join(families) or 'none'}): run the zoo on more of them"
        )
    found: dict[Regime, list[LeftOutSet]] = {regime: [] for regime in regimes}
    shuffled = np.random.default_rng(seed).permutation(families)
    for part in np.array_split(shuffled, min(MOST_TURNS, len(families))):
        left_out = set(part.tolist())
        if on_step:
            on_step(", ".join(sorted(left_out)))
        rest = evidence.without(left_out)
        wanted = {n: p for n, p in predictors.items() if set(p.regimes) & set(regimes)}
        fitted = {name: predictor.fit(rest, seed) for name, predictor in wanted.items()}
        for cells in (own for own in by_set.values() if own[0].family in left_out):
            for regime in regimes:
                known = [c for c in cells if regime == "probed" and c.pair in evidence.probed]
                asked = {name: fit for name, fit in fitted.items() if regime in predictors[name].regimes}
                if known or regime == "unseen":
                    found[regime].append(_judged(evidence, cells, known, asked, seed))
    return {regime: sorted(entries, key=lambda e: e.data_set) for regime, entries in found.items()}


def _judged(
    evidence: Evidence,
    cells: Sequence[Cell],
    known: Sequence[Cell],
    fitted: Mapping[str, contract.FittedSetPredictor],
    seed: int,
) -> LeftOutSet:
    facts, pairs = evidence.facts[cells[0].data_set], tuple(cell.pair for cell in cells)

    def said(fit: contract.FittedSetPredictor, told: KnownCells, ranked: bool = False) -> Floats:
        predicted = fit.predict(facts, pairs, told)
        if ranked and fit.shrinks_known:
            return predicted
        return np.array([told[p].quality if p in told else predicted[i] for i, p in enumerate(pairs)])

    told = {cell.pair: Known.of(cell) for cell in known}
    halves, choosing, judging = halves_of(cells, seed)
    told_halves = [
        {
            p: Known(
                float(choosing[h, pairs.index(p)]), told[p].standard_error / float(np.sqrt(halves[h].mean()))
            )
            for p in told
            if np.isfinite(choosing[h, pairs.index(p)])
        }
        for h in range(len(halves))
    ]  # fewer images have a larger standard error
    predicted = {name: said(fit, told) for name, fit in fitted.items()}
    return LeftOutSet(
        data_set=facts.name,
        family=cells[0].family,
        pairs=pairs,
        truth=np.array([cell.quality for cell in cells]),
        revealed=np.array([pair in told for pair in pairs]),
        predicted=predicted,
        choosing=choosing,
        judging=judging,
        halved={
            name: np.array([said(fit, half, ranked=True) for half in told_halves])
            if told
            else np.tile(predicted[name], (len(halves), 1))
            for name, fit in fitted.items()
        },
        shrunk=frozenset(name for name, fit in fitted.items() if fit.shrinks_known),
    )


def halves_of(cells: Sequence[Cell], seed: int = 0) -> tuple[npt.NDArray[np.bool_], Floats, Floats]:
    """Of one set's cells: the ways to part its folds, and the qualities on one half and on the other, (n_halves, n_cells) each."""
    most = max(len(cell.folds) for cell in cells)
    folds = sorted(set.intersection(*(set(cell.folds) for cell in cells if len(cell.folds) == most)))
    of_fold = np.array([[cell.folds.get(f, np.nan) for cell in cells] for f in folds]).reshape(-1, len(cells))
    halves = halvings(len(folds), seed)
    choosing, judging = (half @ of_fold / half.sum(1, keepdims=True) for half in (halves, ~halves))
    return halves, choosing, judging


def halvings(n_folds: int, seed: int = 0) -> npt.NDArray[np.bool_]:
    """Ways to part the folds, (n_ways, n_folds): True for the half to choose by, the other is judged by; each way also turned
    round, none of one fold.

    >>> halvings(2)
    array([[ True, False],
           [False,  True]])
    >>> halvings(5).shape
    (10, 5)
    """
    sizes = sorted({n_folds // 2, n_folds - n_folds // 2}) if n_folds > 1 else []
    ways = [half for size in sizes for half in combinations(range(n_folds), size)]
    if len(ways) > MOST_HALVES:
        chosen = np.random.default_rng(seed).choice(len(ways), MOST_HALVES, replace=False)
        ways = [ways[i] for i in sorted(chosen.tolist())]
    marked = [[fold in way for fold in range(n_folds)] for way in ways]
    return np.array(marked, dtype=bool).reshape(len(ways), n_folds)


def spearman(predicted: Floats, truth: Floats) -> float | None:
    """Rank correlation (ties share ranks); None where either side does not rank."""
    if len(truth) < 2 or np.ptp(predicted) < 1e-12 or np.ptp(truth) < 1e-12:
        return None
    return float(np.corrcoef(_ranks(predicted), _ranks(truth))[0, 1])


def _ranks(values: Floats) -> Floats:
    """Ranks with ties sharing their mean rank; scipy.stats.rankdata costs a second of import."""
    below = (values[:, None] > values).sum(axis=1)
    equal = (values[:, None] == values).sum(axis=1)
    return below + (equal + 1) / 2


def regret(predicted: Floats, truth: Floats, count: int) -> float | None:
    """Best truth minus the best truth among the `count` pairs predicted highest, mean over lines where both are (n, n_pairs);
    None where nothing is ranked."""
    ranked = np.ptp(predicted, axis=-1) >= 1e-12
    if not ranked.any():
        return None
    chosen = np.argsort(-predicted, axis=-1, kind="stable")[..., :count]
    missed = truth.max(-1) - np.take_along_axis(truth, chosen, -1).max(-1)
    return float(missed[ranked].mean())
