"""Pairs measured on this very data set, by earlier runs or by probing it: their quality, and how far a further run may lie from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lib.performance_prediction.boosting.cells import Cell, Pair, cell_of, pair_of
from lib.performance_prediction.boosting.contract import Known
from lib.performance_prediction.boosting.evidence import Evidence
from lib.recommendation.answer import counted
from lib.records import CHANCE_HEAD, DataSetFacts, RunRecord

NORMAL_90 = 1.645  # half width of a normal's central 90 %, in standard deviations


@dataclass(frozen=True)
class Measured:
    """A pair's cell on the data set, with the 90 % interval of one more run on other test images; `words`: where from.

    `chosen_by`: its quality on the validation parts, None where that was not measured.
    """

    known: Known
    low: float
    high: float
    chosen_by: float | None
    words: str


def measured_pairs(
    evidence: Evidence, facts: DataSetFacts, probed: Sequence[RunRecord] = ()
) -> dict[Pair, Measured]:
    """The pairs with runs whose data set has the fingerprint of `facts`, and those that were `probed` and never run on it."""
    own = [run for run in evidence.runs if run.data_set.fingerprint == facts.fingerprint]
    found = {pair: _measured(runs, evidence, "probed on") for pair, runs in _by_pair(probed).items()}
    found |= {pair: _measured(runs, evidence, "on") for pair, runs in _by_pair(own).items()}
    return {pair: cell for pair, cell in found.items() if cell is not None and facts.fingerprint}


def _by_pair(runs: Sequence[RunRecord]) -> dict[Pair, list[RunRecord]]:
    by_pair: dict[Pair, list[RunRecord]] = {}
    for run in runs:
        if run.head.name != CHANCE_HEAD:
            by_pair.setdefault(pair_of(run), []).append(run)
    return by_pair


def _measured(runs: list[RunRecord], evidence: Evidence, words: str) -> Measured | None:
    """Spread over seeds (Student's t for one more draw) and over test images, added in squares."""
    qualities = [q for run in runs if (q := run.quality(metric=evidence.metric)) is not None]
    if not qualities:
        return None
    cell = cell_of(runs, "", evidence.epoch, evidence.metric)
    error = cell.standard_error or _counting_error(cell, runs[0].data_set.n_test)
    half = float(np.hypot(_spread_of_seeds(qualities), NORMAL_90 * error))
    images = runs[0].data_set.n_test
    said = f"{images} of its images" if words == "probed on" else "this very data set"
    return Measured(
        Known(cell.quality, error),
        max(cell.quality - half, 0.0),
        min(cell.quality + half, 1.0),
        cell.validation,
        f"{counted(len(runs), 'run')} {words} {said}",
    )


def _counting_error(cell: Cell, n_test: int) -> float:
    """Standard error of a share counted on so many images."""
    return float(np.sqrt(cell.quality * (1 - cell.quality) / max(n_test, 1)))


def _spread_of_seeds(qualities: list[float]) -> float:
    if len(qualities) < 2:
        return 0.0
    from scipy.special import stdtrit  # a second of import that most answers do not need

    n = len(qualities)
    return float(stdtrit(n - 1, 0.95) * np.std(qualities, ddof=1) * np.sqrt(1 + 1 / n))
