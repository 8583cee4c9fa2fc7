"""Pairs already run on this very data set: their measured quality, and how far a further run may lie from it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from lib.performance_prediction.boosting.evidence import Evidence, Pair, pair_of
from lib.records import DataSetFacts

NORMAL_90 = 1.645  # half width of a normal's central 90 %, in standard deviations


@dataclass(frozen=True)
class Measured:
    """Mean quality of a pair's runs on the data set, with the 90 % interval of one more run on another test part."""

    quality: float
    low: float
    high: float
    n_runs: int


def measured_pairs(evidence: Evidence, facts: DataSetFacts) -> dict[Pair, Measured]:
    """The pairs with runs whose data set has the fingerprint of `facts`; empty for a data set never run."""
    qualities: dict[Pair, list[float]] = defaultdict(list)
    test_images: dict[Pair, int] = {}
    for run in evidence.runs:
        if facts.fingerprint and run.data_set.fingerprint == facts.fingerprint:
            qualities[pair_of(run)].append(evidence.quality(run))
            test_images[pair_of(run)] = run.data_set.n_test
    return {pair: _interval(values, test_images[pair]) for pair, values in qualities.items()}


def _interval(values: list[float], n_test: int) -> Measured:
    """Spread over seeds (Student's t for one more draw) and of a share counted on `n_test` images, added in squares."""
    from scipy.special import stdtrit  # a second of import that most answers do not need

    n, mean = len(values), float(np.mean(values))
    seeds = float(stdtrit(n - 1, 0.95) * np.std(values, ddof=1) * np.sqrt(1 + 1 / n)) if n > 1 else 0.0
    counting = NORMAL_90 * float(np.sqrt(mean * (1 - mean) / max(n_test, 1)))
    half = float(np.hypot(seeds, counting))
    return Measured(mean, max(mean - half, 0.0), min(mean + half, 1.0), n)
