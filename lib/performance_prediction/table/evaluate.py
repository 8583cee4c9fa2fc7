"""How good completers are on a table: hide measured cells, complete, compare. The numbers behind `als.py evaluate`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict
from scipy.stats import rankdata

from lib.performance_prediction.table.complete import CompletedTable, complete
from lib.performance_prediction.table.score_table import Floats, ScoreTable

SEED_OFFSET = 1000  # hiding draws other random numbers than fitting does
FEWEST_FOR_RANKS = 5  # hidden cells a row needs before its rank correlation counts


class CellScores(BaseModel):
    """One completer on one table with one share hidden under one seed.

    `mae` on hidden cells, `spearman` the mean over rows of the rank correlation on hidden cells (null where every prediction of
    every row is the same), `coverage` and `width` of the 90 % intervals, `seconds` to fit and calibrate.
    """

    model_config = ConfigDict(frozen=True)

    table: str
    completer: str
    fraction: float
    seed: int
    mae: float
    spearman: float | None
    coverage: float
    width: float
    seconds: float


class Spread(BaseModel):
    """Mean and standard deviation over seeds; `mean` is null where the measure is undefined."""

    model_config = ConfigDict(frozen=True)

    mean: float | None
    deviation: float | None


class SummaryLine(BaseModel):
    """One completer on one table with one share hidden, over seeds."""

    model_config = ConfigDict(frozen=True)

    table: str
    completer: str
    fraction: float
    seeds: int
    mae: Spread
    spearman: Spread
    coverage: Spread
    width: Spread
    seconds: Spread


@dataclass(frozen=True)
class EvaluationPlan:
    """What to evaluate: `fractions` of the measured cells to hide, `seeds` 0 … n − 1, `completers` by name."""

    fractions: Sequence[float]
    seeds: int
    completers: Sequence[str]


def hidden_cells(observed: npt.NDArray[np.bool_], fraction: float, seed: int) -> npt.NDArray[np.bool_]:
    """Bool (n_rows, n_columns): `fraction` of the observed cells, uniformly at random."""
    cells = np.flatnonzero(observed)
    order = np.random.default_rng(SEED_OFFSET + seed).permutation(len(cells))
    hidden = np.zeros(observed.size, dtype=bool)
    hidden[cells[order[: round(fraction * len(cells))]]] = True
    return hidden.reshape(observed.shape)


def evaluate(
    name: str, table: ScoreTable, plan: EvaluationPlan, on_scores: Callable[[CellScores], None] | None = None
) -> list[CellScores]:
    """Scores of each completer, fraction and seed of `plan`; `on_scores` hears each as it comes."""
    results = []
    for fraction in plan.fractions:
        for seed in range(plan.seeds):
            hidden = hidden_cells(table.observed, fraction, seed)
            for completer in plan.completers:
                done = complete(table.hiding(hidden), completer, seed)
                scores = score_completion(name, table.values, hidden, done, fraction, seed)
                results.append(scores)
                if on_scores:
                    on_scores(scores)
    return results


def score_completion(
    name: str, truth: Floats, hidden: npt.NDArray[np.bool_], done: CompletedTable, fraction: float, seed: int
) -> CellScores:
    """Compares a completion with the `truth` of the `hidden` cells."""
    true = truth[hidden]
    inside = (true >= done.low[hidden]) & (true <= done.high[hidden])
    return CellScores(
        table=name,
        completer=done.completer,
        fraction=fraction,
        seed=seed,
        mae=float(np.abs(done.mean[hidden] - true).mean()),
        spearman=mean_row_spearman(truth, done.mean, hidden),
        coverage=float(inside.mean()),
        width=float((done.high - done.low)[hidden].mean()),
        seconds=done.seconds,
    )


def mean_row_spearman(truth: Floats, told: Floats, cells: npt.NDArray[np.bool_]) -> float | None:
    """Spearman's rank correlation of `told` with `truth` over the chosen `cells` of each row, averaged over rows.

    Rows with fewer than five such cells, or with the same number everywhere, have none; None when no row has one.
    """
    correlations = []
    for row in range(len(truth)):
        chosen = cells[row]
        if chosen.sum() < FEWEST_FOR_RANKS:
            continue
        ranks = rankdata(truth[row, chosen]), rankdata(told[row, chosen])
        if min(np.ptp(rank) for rank in ranks) > 0:
            correlations.append(np.corrcoef(*ranks)[0, 1])
    return float(np.mean(correlations)) if correlations else None


def summarise(results: Sequence[CellScores]) -> list[SummaryLine]:
    """Mean and standard deviation over seeds, in the order in which combinations first appear."""
    groups: dict[tuple[str, str, float], list[CellScores]] = {}
    for scores in results:
        groups.setdefault((scores.table, scores.completer, scores.fraction), []).append(scores)
    return [
        SummaryLine(
            table=table,
            completer=completer,
            fraction=fraction,
            seeds=len(group),
            mae=_spread([scores.mae for scores in group]),
            spearman=_spread([scores.spearman for scores in group]),
            coverage=_spread([scores.coverage for scores in group]),
            width=_spread([scores.width for scores in group]),
            seconds=_spread([scores.seconds for scores in group]),
        )
        for (table, completer, fraction), group in groups.items()
    ]


def _spread(values: Sequence[float | None]) -> Spread:
    known = [value for value in values if value is not None and not math.isnan(value)]
    if not known:
        return Spread(mean=None, deviation=None)
    return Spread(mean=float(np.mean(known)), deviation=float(np.std(known)))
