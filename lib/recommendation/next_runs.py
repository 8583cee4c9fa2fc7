"""Which pairs to train next on this data set: the largest expected gain over what is in hand, a second of training."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from pydantic import BaseModel, ConfigDict

from lib.performance_prediction.boosting.evidence import Evidence
from lib.performance_prediction.boosting.row_model import RowModel
from lib.performance_prediction.rows.suggest import suggest
from lib.recommendation.costs import CostBook
from lib.recommendation.measured import measured_pairs
from lib.records import DataSetFacts


class NextRun(BaseModel):
    """One pair to train. `expected_best`: the best quality expected in hand once it and those before it have been run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    backbone: str
    head: str
    predicted: float
    low: float
    high: float
    expected_best: float
    training_s: float | None


class RunPlan(BaseModel):
    """Runs in the order to make them. Regrets: expected distance of the best in hand from the best of all pairs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    runs: tuple[NextRun, ...]
    measured_best: float | None
    regret_before: float
    regret_after: float


def next_runs(
    evidence: Evidence, facts: Mapping[str, DataSetFacts], new: DataSetFacts, count: int
) -> RunPlan:
    """The `count` pairs to run next on the data set described by `new`, those already measured on it left out.

    A pair whose training time no record knows counts as the dearest. Raises TooLittleDataError with runs on fewer than
    two unrelated data sets.
    """
    own = {run.data_set.name for run in evidence.runs if run.data_set.fingerprint == new.fingerprint}
    others = evidence.without({evidence.families[name] for name in own})
    fitted = RowModel().fit(others, facts)
    measured = measured_pairs(evidence, new)
    values = np.array([measured[p].quality if p in measured else np.nan for p in fitted.pairs])
    book = CostBook(evidence)
    times = [book.cost(pair, new).training_s for pair in fitted.pairs]
    dearest = max([t for t in times if t is not None], default=1.0)
    costs = np.array([max(dearest if t is None else t, 1e-3) for t in times])
    plan = suggest(fitted.model, values, costs, count, fitted.line(new))
    return RunPlan(
        runs=tuple(
            NextRun(
                backbone=fitted.pairs[s.index].backbone,
                head=fitted.pairs[s.index].head,
                predicted=round(s.predicted, 4),
                low=round(s.low, 4),
                high=round(s.high, 4),
                expected_best=round(s.expected_best, 4),
                training_s=None if times[s.index] is None else round(times[s.index] or 0.0, 2),
            )
            for s in plan.suggestions
        ),
        measured_best=plan.incumbent,
        regret_before=round(plan.regret_before, 4),
        regret_after=round(plan.regret_after, 4),
    )
