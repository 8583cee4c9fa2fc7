"""Completion of score tables: explicit ALS with biases, and the rivals it must beat.

Importing this package registers every completer in `COMPLETERS`.
"""

from lib.performance_prediction.als import biased_als, implicit_feedback  # noqa: F401  (imported to register)
from lib.performance_prediction.completers import (  # noqa: F401  (imported to register)
    additive,
    bayesian_mf,
    knn,
    means,
    soft_impute,
)
