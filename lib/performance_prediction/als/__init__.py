"""Completion of score tables: explicit ALS with biases, the rivals it must beat, and the stack of them.

Importing this package registers every completer in `COMPLETERS`.
"""

from lib.performance_prediction.als import (  # noqa: F401  (imported to register)
    additive,
    bayesian_mf,
    biased_als,
    implicit_feedback,
    knn,
    means,
    soft_impute,
    stack,
)
