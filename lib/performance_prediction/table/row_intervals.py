"""Intervals for whole new rows: conformal with rows, not cells, as the exchangeable units, since one row's errors come together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student_t

from lib.performance_prediction.table.score_table import Floats

COVERAGE = 0.9
# Within these bounds the intervals widen until the tenth of rows covered worst is covered this well on average.
MOST_COVERAGE = 0.915
WORST_DECILE_COVERAGE = 0.77
# One group more, of Student's t with 3 degrees of freedom: hardly felt among twenty, a shield against narrow luck among two.
_PRIOR_GROUP = np.asarray(student_t.isf(np.linspace(0.005, 0.495, 50), 3), dtype=np.float64)


def row_quantile(
    scores: Sequence[Floats], groups: Sequence[int] | npt.NDArray[np.int64], coverage: float = COVERAGE
) -> float:
    """Smallest q for which a share `coverage` of a new row's cells is expected to score at most q.

    `scores`: one array of cell scores (|error| / spread) a calibration row; every group of related rows weighs the same, within it
    every row, within it every cell (pooled hierarchical conformal prediction: Dunn, Wasserman & Ramdas 2023; Lee, Barber & Willett
    2023). Without their mass of 1 / (groups + 1) at infinity: with 20 groups that alone would turn 90 % into 95 %, and rows that
    were left out were predicted from fewer rows than a new one will be.
    """
    kept = [(row, group) for row, group in zip(scores, groups, strict=True) if len(row)]
    if not kept:
        return float("inf")
    names, own, sizes = np.unique([group for _, group in kept], return_inverse=True, return_counts=True)
    weights = np.concatenate(
        [np.full(len(row), 1 / (len(row) * sizes[own[i]])) for i, (row, _) in enumerate(kept)]
    )
    cells = np.concatenate([row for row, _ in kept])
    order = np.argsort(cells)
    covered = np.cumsum(weights[order]) / len(names)
    place = int(np.searchsorted(covered, coverage))
    return float(cells[order][min(place, len(cells) - 1)])


@dataclass(frozen=True)
class RowConformal:
    """Interval half-width in spreads for each number of known cells k: `multipliers` by k, in between interpolated in log(1 + k)."""

    multipliers: Mapping[int, float]

    def multiplier(self, known: int) -> float:
        """Half-width of the interval, in the model's own spreads, for a row with `known` measured cells."""
        sizes = sorted(self.multipliers)
        return float(
            np.interp(np.log1p(known), np.log1p(np.array(sizes)), [self.multipliers[size] for size in sizes])
        )


def worst_decile_coverage(scores: Sequence[Floats], half_width: float) -> float:
    """Mean share of cells that score at most `half_width` in the tenth of rows (at least one) where that share is lowest."""
    shares = np.sort([float((row <= half_width).mean()) for row in scores if len(row)])
    return float(shares[: max(1, round(len(shares) / 10))].mean())


def fair_quantile(scores: Sequence[Floats], groups: Sequence[int]) -> float:
    """The row quantile of 90 %, widened up to that of 91.5 % as far as the worst tenth of rows needs it; `groups` from 0 on."""
    with_prior, named = [*scores, _PRIOR_GROUP], [*groups, -1]
    low, high = (row_quantile(with_prior, named, coverage) for coverage in (COVERAGE, MOST_COVERAGE))
    for half_width in np.linspace(low, high, 7):
        if worst_decile_coverage(scores, float(half_width)) >= WORST_DECILE_COVERAGE:
            return float(half_width)
    return high


def calibrate(scores: Mapping[int, Sequence[Floats]], groups: Mapping[int, Sequence[int]]) -> RowConformal:
    """One half-width for each number of known cells: `scores[k]` and `groups[k]` as row_quantile wants them."""
    return RowConformal({k: fair_quantile(scores[k], groups[k]) for k in scores if len(scores[k])})
