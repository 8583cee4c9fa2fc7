"""Small made-up tables of scores for the tests of completion."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lib.performance_prediction.table.score_table import Floats, ScoreTable


def planted(
    n_rows: int = 24,
    n_columns: int = 30,
    rank: int = 2,
    noise: float = 0.01,
    hidden: float = 0.4,
    seed: int = 0,
) -> tuple[ScoreTable, Floats]:
    """A table with a low-rank signal in the logits and cells hidden at random; and the whole of it."""
    rng = np.random.default_rng(seed)
    logits = 0.7 * rng.standard_normal((n_rows, rank)) @ rng.standard_normal((rank, n_columns))
    logits += 0.8 * rng.standard_normal((n_rows, 1)) + 0.4 * rng.standard_normal(n_columns)
    truth = np.clip(1 / (1 + np.exp(-logits)) + noise * rng.standard_normal(logits.shape), 0, 1)
    return table_of(np.where(rng.random(truth.shape) < hidden, np.nan, truth)), truth


def table_of(values: Floats, row_features: pd.DataFrame | None = None) -> ScoreTable:
    """A table with made-up names."""
    rows = tuple(f"set {i}" for i in range(len(values)))
    columns = tuple(f"pair {j}" for j in range(values.shape[1]))
    return ScoreTable(rows, columns, np.asarray(values, float), row_features)
