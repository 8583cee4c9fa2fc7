"""All intervals rest on one quantile: of errors on cells that were hidden, each with its share of the probability.

Split conformal prediction with normalised residuals (Lei et al. 2018, "Distribution-free predictive inference for regression",
section 5.2): an error is divided by the spread the model gave the cell; the quantile of these ratios, times the spread of a
missing cell, is half the width of its interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

COVERAGE = 0.9
_ROUNDING = 1e-9  # shares that add up to the coverage but for rounding do reach it
# Intervals of whole rows widen up to this coverage until the tenth of rows covered worst has this one on average; both were
# picked on clip_linear_probe, openclip_zeroshot and oboe_error.
MOST_COVERAGE = 0.915
WORST_DECILE_COVERAGE = 0.77


def conformal_quantile(
    errors: npt.ArrayLike, coverage: float = COVERAGE, weights: Floats | None = None
) -> float:
    """Smallest of `errors` (n,) such that the errors up to it have a share of at least `coverage`; infinite where none has.

    Without `weights` every error has the share 1 / (n + 1), and a new one the last (Vovk et al. 2005): the ⌈(n + 1)·coverage⌉-th
    smallest covers a further exchangeable error with at least this probability. `weights` (n,) are such shares, at most 1 in
    all; what is missing from 1 lies at infinity.

    >>> conformal_quantile([3, 1, 2, 9, 4, 5, 7, 6, 8])
    9.0
    >>> conformal_quantile(range(1, 100))
    90.0
    >>> conformal_quantile([1, 2, 3])
    inf
    >>> conformal_quantile([1, 2, 3], coverage=0.5, weights=np.array([0.5, 0.25, 0.25]))
    1.0
    """
    found = np.asarray(errors, dtype=float)
    shares = np.full(len(found), 1 / (len(found) + 1)) if weights is None else weights
    order = np.argsort(found, kind="stable")
    place = int(np.searchsorted(np.cumsum(shares[order]), coverage - _ROUNDING))
    return float(found[order[place]]) if place < len(found) else float("inf")


def group_weights(groups: Sequence[Any], rows: Sequence[Any] | None = None) -> Floats:
    """Shares (n,) of cells by their group, sum 1: groups weigh alike, within them rows (where given), within these cells.

    Hierarchical conformal prediction (Dunn, Wasserman & Ramdas 2023; Lee, Barber & Willett 2023): groups of related rows, not
    cells, are exchangeable. No share is left at infinity for the new group: among ten groups that alone would ask for the 99 %
    quantile, and what was left out was predicted from fewer groups than a new one will be.

    >>> group_weights(["a", "a", "b"])
    array([0.25, 0.25, 0.5 ])
    >>> group_weights([0, 0, 0, 1], rows=[0, 0, 1, 2])
    array([0.125, 0.125, 0.25 , 0.5  ])
    """
    own_group = np.unique(np.asarray(groups), return_inverse=True)[1]
    own_row = own_group if rows is None else np.unique(np.asarray(rows), return_inverse=True)[1]
    rows_of_group = np.bincount(own_group[np.unique(own_row, return_index=True)[1]])
    return 1 / (len(rows_of_group) * rows_of_group[own_group] * np.bincount(own_row)[own_row])


def grouped_quantile(errors: npt.ArrayLike, groups: Sequence[Any], coverage: float = COVERAGE) -> float:
    """The conformal quantile of `errors` (n,) where every one of `groups` (n,) weighs the same; infinite without any.

    >>> grouped_quantile([1, 1, 1, 1, 5], ["a", "a", "a", "a", "b"], coverage=0.6)
    5.0
    """
    return conformal_quantile(errors, coverage, group_weights(groups)) if len(groups) else float("inf")


@dataclass(frozen=True)
class CellConformal:
    """`factor`: how many spreads half an interval is wide; `cells`: hidden cells it rests on; `level`: nominal coverage.

    The factor is infinite, and an interval all of [0, 1], where too few cells could be hidden.
    """

    factor: float
    cells: int
    level: float = COVERAGE

    def bounds(self, mean: Floats, spread: Floats) -> tuple[Floats, Floats]:
        """Lower and upper ends, clipped to [0, 1]."""
        half = self.factor * spread
        return np.clip(mean - half, 0.0, 1.0), np.clip(mean + half, 0.0, 1.0)


def calibrate_cells(values: Floats, mean: Floats, spread: Floats, level: float = COVERAGE) -> CellConformal:
    """From `mean` and `spread` said of measured `values` while they were hidden; all (n_rows, n_columns), NaN elsewhere."""
    used = np.isfinite(values) & np.isfinite(mean)
    ratios = np.abs(values - mean)[used] / spread[used]
    return CellConformal(conformal_quantile(ratios, level), int(used.sum()), level)


def multiplier_at(multipliers: Mapping[int, float], known: int) -> float:
    """Half-width of intervals, in spreads, of a row with `known` cells: interpolated in log(1 + k) between those of `multipliers`."""
    sizes = sorted(multipliers)
    half_widths = [multipliers[size] for size in sizes]
    return float(np.interp(np.log1p(known), np.log1p(np.array(sizes)), half_widths))


def row_quantile(scores: Sequence[Floats], groups: Sequence[int], coverage: float = COVERAGE) -> float:
    """Smallest q up to which a share `coverage` of a new row's cells is expected to score.

    `scores`: one array of cell scores (|error| / spread) a calibration row; groups weigh alike, within them rows, within these cells.
    """
    rows = np.repeat(np.arange(len(scores)), [len(row) for row in scores])
    if not len(rows):
        return float("inf")
    weights = group_weights(np.asarray(groups)[rows], rows)  # type: ignore[arg-type]
    return conformal_quantile(np.concatenate(scores), coverage, weights)


def worst_decile_coverage(scores: Sequence[Floats], half_width: float) -> float:
    """Mean share of cells that score at most `half_width` in the tenth of rows (at least one) where that share is lowest."""
    shares = np.sort([float((row <= half_width).mean()) for row in scores if len(row)])
    return float(shares[: max(1, round(len(shares) / 10))].mean())


def fair_quantile(scores: Sequence[Floats], groups: Sequence[int]) -> float:
    """The row quantile of 90 %, widened up to that of 91.5 % as far as the worst tenth of rows needs it; `groups` from 0 on."""
    with_prior, named = [*scores, _prior_group()], [*groups, -1]
    low, high = (row_quantile(with_prior, named, coverage) for coverage in (COVERAGE, MOST_COVERAGE))
    for half_width in np.linspace(low, high, 7):
        if worst_decile_coverage(scores, float(half_width)) >= WORST_DECILE_COVERAGE:
            return float(half_width)
    return high


@cache
def _prior_group() -> Floats:
    """One group more, of Student's t with 3 degrees of freedom: hardly felt among twenty, a shield against narrow luck among two."""
    from scipy.special import stdtrit  # scipy.stats would cost a second of import

    return np.asarray(stdtrit(3, 1 - np.linspace(0.005, 0.495, 50)), dtype=np.float64)
