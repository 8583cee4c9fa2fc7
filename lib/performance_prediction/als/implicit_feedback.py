"""`implicit`'s ALS as it comes, and calibrated: the lesson why implicit feedback is the wrong model for scores.

It weighs confidence in a preference of 1 and takes a missing cell for a preference of 0 (Hu, Koren & Volinsky 2008): what
was never measured is modelled as disliked, and the results are not on the scale of the scores.
"""

from __future__ import annotations

import os

import numpy as np
import scipy.sparse

from lib.performance_prediction.als.fold_in import TableCompletion
from lib.performance_prediction.als.hold_out import choice_cells
from lib.performance_prediction.table import COMPLETERS, Completer, Completion, Floats, ScoreTable

FACTORS, REGULARISATION, ITERATIONS = 16, 0.05, 15


def implicit_scores(values: Floats, seed: int) -> Floats:
    """Products of the factors that `implicit` fits to the measured cells of `values` (NaN elsewhere), (n_rows, n_columns)."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from implicit.cpu.als import AlternatingLeastSquares

    observed = np.isfinite(values) & (values > 0)
    stored = scipy.sparse.csr_matrix(np.where(observed, values, 0.0).astype(np.float32))
    factors = min(FACTORS, min(values.shape))
    model = AlternatingLeastSquares(
        factors=factors,
        regularization=REGULARISATION,
        iterations=ITERATIONS,
        random_state=seed,
        num_threads=1,
    )
    model.fit(stored, show_progress=False)
    return np.asarray(model.user_factors, float) @ np.asarray(model.item_factors, float).T


@COMPLETERS.register("implicit")
class ImplicitRaw(Completer):
    """What `implicit` returns, clipped to [0, 1]."""

    def fit(self, table: ScoreTable, seed: int = 0) -> Completion:
        """See `Completer.fit`; nothing is chosen, as in the naive use."""
        scores = np.clip(implicit_scores(table.values, seed), 0.0, 1.0)
        error = float(np.abs(scores - table.values)[table.observed].mean())
        return TableCompletion(scores, np.full_like(scores, max(error, 0.01)))


@COMPLETERS.register("implicit_calibrated")
class ImplicitCalibrated(Completer):
    """`implicit`'s products brought to the scale of the scores by a line fitted on cells hidden from it."""

    def fit(self, table: ScoreTable, seed: int = 0) -> Completion:
        """See `Completer.fit`."""
        hidden = choice_cells(table.observed, seed)
        measured = table.values[table.observed]
        slope, offset = 0.0, float(measured.mean())
        if 3 <= hidden.sum() < table.observed.sum():
            told = implicit_scores(table.hiding(hidden).values, seed)[hidden]
            truth = table.values[hidden]
            slope = max(0.0, float(np.cov(told, truth)[0, 1] / (told.var() + 1e-6)))
            offset = float(truth.mean() - slope * told.mean())
        mean = offset + slope * implicit_scores(table.values, seed)
        return TableCompletion(mean, np.full_like(mean, max(float(measured.std()), 0.01)))
