"""`implicit`'s ALS as it comes, and calibrated: the lesson why implicit feedback is the wrong model for scores.

It weighs confidence in a preference of 1 and takes a missing cell for a preference of 0 (Hu, Koren & Volinsky 2008): what
was never measured is modelled as disliked, and the results are not on the scale of the scores.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import scipy.sparse
from threadpoolctl import threadpool_limits

from lib.performance_prediction.table.hold_out import choice_cells
from lib.performance_prediction.table.score_table import COMPLETERS, Completer, Completion, Floats, ScoreTable

RAW_FACTORS, RAW_CONFIDENCE = 16, 1.0
FACTORS = (1, 2, 4, 16)
CONFIDENCES = (1.0, 10.0)
REGULARISATION, ITERATIONS = 0.05, 15


def implicit_scores(values: Floats, factors: int, confidence: float, seed: int) -> Floats:
    """Products of the factors that `implicit` fits to the measured cells of `values` (NaN elsewhere), (n_rows, n_columns).

    `confidence` is its α: how much heavier a score weighs than a missing cell.
    """
    from implicit.cpu.als import AlternatingLeastSquares

    observed = np.isfinite(values) & (values > 0)
    stored = scipy.sparse.csr_matrix(np.where(observed, values, 0.0).astype(np.float32))
    with threadpool_limits(1, "blas"):
        factors = min(factors, *values.shape)
        model = AlternatingLeastSquares(
            factors, REGULARISATION, confidence, iterations=ITERATIONS, random_state=seed, num_threads=1
        )
        model.fit(stored, show_progress=False)
    return np.asarray(model.user_factors, float) @ np.asarray(model.item_factors, float).T


@COMPLETERS.register("implicit")
class ImplicitRaw(Completer):
    """What `implicit` returns, clipped to [0, 1]."""

    def fit(self, table: ScoreTable, seed: int = 0) -> Completion:
        """See `Completer.fit`; nothing is chosen, as in the naive use."""
        scores = np.clip(implicit_scores(table.values, RAW_FACTORS, RAW_CONFIDENCE, seed), 0.0, 1.0)
        error = float(np.abs(scores - table.values)[table.observed].mean())
        return Completion(scores, np.full_like(scores, max(error, 0.01)))


@COMPLETERS.register("implicit_calibrated")
class ImplicitCalibrated(Completer):
    """`implicit` at its best: tuned, and brought to the scale of the scores by a line, both on cells hidden from it."""

    def fit(self, table: ScoreTable, seed: int = 0) -> Completion:
        """See `Completer.fit`. The fit that was calibrated is kept: one on more cells would have another scale."""
        hidden = choice_cells(table.observed, seed)
        measured = table.values[table.observed]
        if not 3 <= hidden.sum() < table.observed.sum():
            return Completion(np.full(table.values.shape, measured.mean()), np.ones(table.values.shape))
        part, truth = table.hiding(hidden).values, table.values[hidden]
        best, least = np.full(table.values.shape, truth.mean()), np.inf
        for factors, confidence in product(FACTORS, CONFIDENCES):
            told = implicit_scores(part, factors, confidence, seed)
            slope = max(0.0, float(np.cov(told[hidden], truth)[0, 1] / (told[hidden].var() + 1e-9)))
            line = np.clip(truth.mean() + slope * (told - told[hidden].mean()), 0.0, 1.0)
            error = float(np.abs(line[hidden] - truth).mean())
            if error < least:
                best, least = line, error
        return Completion(best, np.full_like(best, max(1.25 * least, 0.01)))
