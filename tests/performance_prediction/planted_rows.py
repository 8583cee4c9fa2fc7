"""Tables whose rows are exchangeable draws from a known distribution, to judge predictions of new rows against the truth."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lib.performance_prediction.table.scales import LOGIT
from lib.performance_prediction.table.score_table import Floats, ScoreTable


def planted_scores(n_rows: int, n_columns: int, seed: int) -> tuple[Floats, pd.DataFrame]:
    """Scores (n_rows, n_columns) from three factors and noise on the logit scale; `size` tells most of a row's level, `junk` nothing."""
    rng = np.random.default_rng(seed)
    size = rng.normal(size=n_rows)
    level = 0.5 + 1.0 * size + 0.6 * rng.normal(size=n_rows)
    quality = rng.normal(0, 0.5, n_columns)
    factors = rng.normal(size=(n_rows, 2)) @ rng.normal(0, 0.4, (2, n_columns))
    z = level[:, None] + quality + factors + rng.normal(0, 0.15, (n_rows, n_columns))
    features = pd.DataFrame({"size": size, "junk": rng.normal(size=n_rows), "kind": "all the same"})
    return LOGIT.backward(z), features


def as_table(scores: Floats, features: pd.DataFrame | None = None) -> ScoreTable:
    """A ScoreTable with rows r0, r1, … and columns c0, c1, …."""
    n, m = scores.shape
    rows = tuple(f"r{i}" for i in range(n))
    return ScoreTable(rows, tuple(f"c{j}" for j in range(m)), scores, features)


def revealed(row: Floats, count: int, seed: int) -> Floats:
    """The row with `count` random cells left, NaN elsewhere."""
    shown = np.random.default_rng(seed).permutation(np.flatnonzero(np.isfinite(row)))[:count]
    values = np.full(len(row), np.nan)
    values[shown] = row[shown]
    return values
