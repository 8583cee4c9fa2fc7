"""Which cell to run next when time is short: the largest expected gain over what is measured, a second; and what may be missed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from lib.errors import CvAutomlError
from lib.performance_prediction.boosting.cells import Pair, mean_known, pair_of
from lib.performance_prediction.boosting.evidence import Evidence, families_of, gather_evidence
from lib.performance_prediction.boosting.row_model import FittedRowModel, RowModel
from lib.performance_prediction.rows.scenarios import Scenarios
from lib.records import DataSetFacts, DataSetInfo, RunRecord
from lib.records.schema import PRIMARY_METRIC, Metric


@dataclass(frozen=True)
class Option:
    """A cell that could be run now. `cost_s`: expected seconds, features included where they are not at hand."""

    data_set: DataSetInfo
    pair: Pair
    seed: int
    cost_s: float


@dataclass(frozen=True)
class Outlook:
    """One data set after the budget. `measured_best`: None where nothing was measured; `remaining`: pairs not run.

    `remaining_best`, `low`, `high`: the best quality expected of those and its 90 % interval; `found`: the probability that
    none of them is better than what was measured; `share`: measured best over the expected best of the whole grid. All four None
    without a prediction.
    """

    data_set: str
    measured_best: float | None
    remaining: int
    remaining_best: float | None = None
    low: float | None = None
    high: float | None = None
    found: float | None = None
    share: float | None = None


@dataclass(frozen=True)
class Expected:
    """A pair on a data set: its expected quality with a 90 % interval, or what was measured."""

    pair: Pair
    quality: float
    low: float
    high: float
    measured: bool


@dataclass
class BudgetPolicy:
    """Knows each data set as a new row of the table of other data sets' runs, its own measured pairs as known cells.

    Models are fitted once a data set, from the records there were at the start without its relatives; a pair no model
    knows, a further seed of a measured pair, and all where there are too few records come last or cheapest first.
    """

    records: Sequence[RunRecord]
    facts: Mapping[str, DataSetFacts]
    related: Sequence[Sequence[str]] = ()
    metric: Metric | None = None
    reasons: list[str] = field(default_factory=list)
    _models: dict[str, FittedRowModel | None] = field(default_factory=dict)
    _last: tuple[object, Scenarios] | None = None  # order, outlook and expected ask one after the other

    def order(self, options: Sequence[Option], own: Sequence[RunRecord]) -> list[int]:
        """Positions of all options, the one to run first in front. `own`: finished runs on these data sets so far."""
        gains = {
            name: self._gains(one, own)
            for name, one in {o.data_set.name: o.data_set for o in options}.items()
        }
        rates = [gains[o.data_set.name].get(o.pair, 0.0) / max(o.cost_s, 1e-3) for o in options]
        return sorted(range(len(options)), key=lambda i: (-rates[i], options[i].seed, options[i].cost_s))

    def outlook(self, data_set: DataSetInfo, remaining: Sequence[Pair], own: Sequence[RunRecord]) -> Outlook:
        """How much of the best of measured and `remaining` pairs of one data set has been found."""
        measured = _measured(own, data_set, self._metric(data_set))
        best = max(measured.values(), default=None)
        left = sorted({pair for pair in remaining if pair not in measured})
        model = self._model(data_set)
        if model is None or not (known := [model.pairs.index(p) for p in left if p in model.pairs]):
            return Outlook(data_set.name, best, len(left))
        scenarios = self._scenarios(model, data_set, measured)
        rest = scenarios.values[:, known].max(axis=1)
        low, high = np.quantile(rest, (0.05, 0.95), weights=scenarios.weights, method="inverted_cdf").tolist()
        grid = float(scenarios.weights @ np.maximum(rest, best or 0.0))
        return Outlook(
            data_set=data_set.name,
            measured_best=best,
            remaining=len(left),
            remaining_best=float(scenarios.weights @ rest),
            low=low,
            high=high,
            found=None if best is None else float(scenarios.weights @ (rest <= best)),
            share=None if best is None else best / max(grid, 1e-9),
        )

    def expected(self, data_set: DataSetInfo, own: Sequence[RunRecord]) -> list[Expected]:
        """Every pair that the model knows, the best first; empty without a prediction."""
        model = self._model(data_set)
        if model is None:
            return []
        measured = _measured(own, data_set, self._metric(data_set))
        scenarios = self._scenarios(model, data_set, measured)
        low, high = (
            np.quantile(scenarios.values, q, axis=0, weights=scenarios.weights, method="inverted_cdf")
            for q in (0.05, 0.95)
        )
        means = scenarios.weights @ scenarios.values
        rows = zip(model.pairs, means.tolist(), low.tolist(), high.tolist(), strict=True)
        found = [
            Expected(pair, mean, lowest, highest, pair in measured) for pair, mean, lowest, highest in rows
        ]
        return sorted(found, key=lambda one: -one.quality)

    def _gains(self, data_set: DataSetInfo, own: Sequence[RunRecord]) -> dict[Pair, float]:
        """Pair → how much it is expected to raise the best in hand; of a data set without any, its expected quality."""
        model = self._model(data_set)
        if model is None:
            return {}
        measured = _measured(own, data_set, self._metric(data_set))
        scenarios = self._scenarios(model, data_set, measured)
        in_hand = max(measured.values(), default=0.0)
        gains = scenarios.weights @ np.maximum(scenarios.cautious() - in_hand, 0.0)
        return {pair: float(g) for pair, g in zip(model.pairs, gains, strict=True) if pair not in measured}

    def _scenarios(
        self, model: FittedRowModel, data_set: DataSetInfo, measured: Mapping[Pair, float]
    ) -> Scenarios:
        asked = data_set.name, tuple(sorted(measured.items()))
        if self._last is None or self._last[0] != asked:
            values = np.array([measured.get(pair, np.nan) for pair in model.pairs])
            facts = self.facts.get(data_set.name)
            self._last = asked, model.model.scenarios(values, model.line(facts) if facts else None)
        return self._last[1]

    def _model(self, data_set: DataSetInfo) -> FittedRowModel | None:
        if data_set.name not in self._models:
            self._models[data_set.name] = self._fitted(data_set)
        return self._models[data_set.name]

    def _fitted(self, data_set: DataSetInfo) -> FittedRowModel | None:
        try:
            return RowModel().fit(self._others(data_set))
        except CvAutomlError as error:
            self.reasons.append(f"{data_set.name}: cheapest cells first, nothing can be predicted: {error}")
            return None

    def _metric(self, data_set: DataSetInfo) -> Metric:
        return self.metric or PRIMARY_METRIC[data_set.task]

    def _others(self, data_set: DataSetInfo) -> Evidence:
        evidence = gather_evidence(
            self.records, None, (), data_set.task, self.related, self._metric(data_set), self.facts
        )
        original = data_set.parent or data_set.name
        families = families_of(self.records, self.related)
        own = {families.get(data_set.name, original), families.get(original, original)}
        own |= {group[0] for group in self.related if original in group}
        return evidence.without(own)


def _measured(own: Sequence[RunRecord], data_set: DataSetInfo, metric: Metric) -> dict[Pair, float]:
    """Pair → mean quality over the finished runs on this very data set: on validation parts, so that test parts choose nothing."""
    found: dict[Pair, list[float | None]] = {}
    for record in own:
        if record.data_set.fingerprint == data_set.fingerprint:
            chosen_by = record.quality(metric=metric, part="validation")
            quality = record.quality(metric=metric) if chosen_by is None else chosen_by
            found.setdefault(pair_of(record), []).append(quality)
    return {pair: mean for pair, values in found.items() if (mean := mean_known(values)) is not None}
