"""Which pairs to train next on this data set: the largest expected gain over what is in hand, a second of training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lib.performance_prediction.boosting.evidence import Evidence
from lib.performance_prediction.boosting.row_model import RowModel
from lib.performance_prediction.rows.suggest import SuggestedColumns, suggest
from lib.recommendation.costs import CostBook
from lib.recommendation.measured import measured_pairs
from lib.records import DataSetFacts, RunRecord


def next_runs(
    evidence: Evidence, new: DataSetFacts, count: int, probed: Sequence[RunRecord] = ()
) -> SuggestedColumns:
    """The `count` pairs to run next on the data set described by `new`, those already measured on it left out; costs in seconds.

    A pair whose training time no record knows counts as the dearest. Raises TooLittleDataError with runs on fewer than
    two unrelated data sets.
    """
    own = {run.data_set.name for run in evidence.runs if run.data_set.fingerprint == new.fingerprint}
    fitted = RowModel().fit(evidence.without({evidence.families[name] for name in own}))
    measured = measured_pairs(evidence, new, probed)
    values = fitted.row({pair: cell.known for pair, cell in measured.items()})
    book = CostBook(evidence)
    times = [book.cost(pair, new).training_s for pair in fitted.pairs]
    dearest = max([t for t in times if t is not None], default=1.0)
    costs = np.array([max(dearest if t is None else t, 1e-3) for t in times])
    return suggest(fitted.model, values, costs, count, fitted.line(new))
