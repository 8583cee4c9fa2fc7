"""Which pair is best over all data sets, how sure that is, and what it costs: the front of quality against cost."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from lib.page.charts import Chart, Drawing, Mark, Series, drawn, pareto
from lib.page.ranges import RankedLine, Scale, scale_of
from lib.performance_prediction.als.train import ZooCompletion
from lib.performance_prediction.boosting.cells import Pair, pair_of
from lib.performance_prediction.boosting.evidence import Evidence
from lib.performance_prediction.boosting.scores import bootstrap
from lib.performance_prediction.table.score_table import Floats

MOST = 10


@dataclass(frozen=True)
class AnswerView:
    """`lines`: the best pairs; `equals`: how many of all cannot be told from the first; `charts`: quality against each cost;
    `front`: pairs that no other beats at their latency or less."""

    lines: tuple[RankedLine, ...]
    scale: Scale
    n_pairs: int
    equals: int
    charts: tuple[Drawing, ...]
    front: tuple[str, ...]
    device: str


@dataclass(frozen=True)
class _Costs:
    """Of one pair, medians over its runs; latency only from `device`s of the commonest kind."""

    parameters: float | None
    latency_ms: float | None
    training_s: float | None


def answer_view(completion: ZooCompletion) -> AnswerView:
    """Every pair of the quality matrix, measured or completed, by its quality on the mean data set."""
    evidence, matrix = completion.matrix.evidence, completion.matrix
    device = _commonest_device(evidence)
    places = [
        (Pair(b, h), i, j) for i, b in enumerate(matrix.backbones) for j, h in enumerate(matrix.heads)
        if completion.values[i, j] == completion.values[i, j]
    ]  # fmt: skip
    places.sort(key=lambda entry: -completion.values[entry[1], entry[2]])
    costs = {pair: _costs(evidence, pair, device) for pair, _, _ in places}
    lines = [_line(completion, costs[place[0]], places[0][0], *place) for place in places]
    fronts = [_cost_chart(lines, name, cost) for name, cost in COSTS]
    return AnswerView(
        lines=tuple(lines[:MOST]),
        scale=scale_of(lines[:MOST]),
        n_pairs=len(lines),
        equals=sum(line.equal for line in lines),
        charts=tuple(drawn(fronts)),
        front=tuple(mark.label.split(":")[0] for mark in fronts[0].series[0].marks),
        device=device,
    )


COSTS = (("milliseconds, one image", "latency_ms"), ("parameters", "parameters"))


def _line(completion: ZooCompletion, costs: _Costs, first: Pair, pair: Pair, i: int, j: int) -> RankedLine:
    value, status = float(completion.values[i, j]), completion.status(i, j)
    low, high, equal = float(completion.low[i, j]), float(completion.high[i, j]), False
    if status == "measured":
        low, high, equal = _against_first(completion.matrix.evidence, pair, first, value)
    return RankedLine(
        pair=pair.label,
        value=value,
        low=None if pair == first and status == "measured" else low,
        high=None if pair == first and status == "measured" else high,
        basis=status,
        equal=equal or pair == first,
        latency_ms=costs.latency_ms,
        parameters=costs.parameters,
        training_s=costs.training_s,
    )


def _against_first(evidence: Evidence, pair: Pair, first: Pair, value: float) -> tuple[float, float, bool]:
    """Ends of the 95 % interval of the difference from the first pair, around the value; and whether it holds zero."""
    column, best = _by_family(evidence, pair), _by_family(evidence, first)
    gaps = {family: column[family] - best[family] for family in column if family in best}
    if len(gaps) < 2:
        return value, value, False
    gap = bootstrap(gaps)
    return max(value + gap.low - gap.mean, 0.0), min(value + gap.high - gap.mean, 1.0), gap.high >= 0


def _by_family(evidence: Evidence, pair: Pair) -> dict[str, float]:
    """Mean quality of a pair on the sets of each family."""
    if pair not in evidence.pairs:
        return {}
    values: Floats = evidence.values[:, evidence.pairs.index(pair)]
    found: dict[str, list[float]] = {}
    for name, value in zip(evidence.data_sets, values.tolist(), strict=True):
        if value == value:
            found.setdefault(evidence.families[name], []).append(value)
    return {family: statistics.fmean(of) for family, of in found.items()}


def _commonest_device(evidence: Evidence) -> str:
    devices = Counter(run.environment.device for run in evidence.runs if run.latency)
    return devices.most_common(1)[0][0] if devices else ""


def _costs(evidence: Evidence, pair: Pair, device: str) -> _Costs:
    runs = [run for run in evidence.runs if pair_of(run) == pair]
    latencies = [r.latency.batch1_median_ms for r in runs if r.latency and r.environment.device == device]
    return _Costs(
        parameters=_median([float(r.backbone.parameters + r.head.parameters) for r in runs]),
        latency_ms=_median(latencies),
        training_s=_median([r.timing.training_s + r.timing.features_s for r in runs]),
    )


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


def _cost_chart(lines: Sequence[RankedLine], name: str, cost: str) -> Chart:
    """All pairs whose cost is known, and the front of those that are worth it."""
    marks = [
        Mark(
            known,
            line.value,
            f"{line.pair}: {line.value:.3f}, {_worded(cost, known)}, {line.basis}",
            line.basis,
        )
        for line in lines
        if (known := getattr(line, cost)) is not None and known > 0
    ]
    front = Series("worth their cost (Pareto front)", pareto(marks), joined=True, stepped=True)
    others = Series("all pairs", tuple(mark for mark in marks if mark not in front.marks))
    return Chart(f"Quality against {cost.removesuffix('_ms')}", name, "quality", (front, others), log_x=True)


def _worded(cost: str, value: float) -> str:
    return f"{value:.1f} ms" if cost == "latency_ms" else f"{value:,.0f} parameters"
