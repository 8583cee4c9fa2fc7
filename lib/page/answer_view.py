"""Which pair is best over all data sets, how sure that is, and what it costs: the front of quality against cost."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lib.page.charts import Chart, Drawing, Mark, Series, drawn, pareto
from lib.page.ranges import RankedLine, Scale, scale_of
from lib.performance_prediction.als.train import ZooCompletion
from lib.performance_prediction.boosting.cells import Pair, pair_of
from lib.performance_prediction.boosting.evidence import Evidence
from lib.performance_prediction.boosting.scores import bootstrap
from lib.performance_prediction.table.score_table import Floats

MOST = 10
COSTS = (("milliseconds, one image", "latency_ms"), ("parameters", "parameters"))


@dataclass(frozen=True)
class AnswerView:
    """`lines`: the best pairs; `equals`: how many of all cannot be told from the first; `charts`: quality against each cost;
    `front`: pairs that no other beats at their latency or less."""

    lines: tuple[RankedLine, ...]
    best_measured: RankedLine | None
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
    measured = [pair for pair, i, j in places if completion.status(i, j) == "measured"]
    reference = _by_family(evidence, measured[0]) if measured else {}
    lines = [_line(completion, reference, device, *place) for place in places]
    lines = [
        replace(line, equal=line.equal if _paired(line, lines[0]) else _overlap(line, lines[0]))
        for line in lines
    ]
    fronts = [_cost_chart(lines, name, cost) for name, cost in COSTS]
    return AnswerView(
        lines=tuple(lines[:MOST]),
        best_measured=next((line for line in lines if line.basis == "measured"), None),
        scale=scale_of(lines[:MOST]),
        n_pairs=len(lines),
        equals=sum(line.equal for line in lines),
        charts=tuple(drawn(fronts)),
        front=tuple(mark.label.split(":")[0] for mark in fronts[0].series[0].marks),
        device=device,
    )


def _paired(line: RankedLine, first: RankedLine) -> bool:
    """Whether the two were compared data set by data set."""
    return line.basis == first.basis == "measured"


def _overlap(line: RankedLine, first: RankedLine) -> bool:
    ends = (line.value if line.high is None else line.high, first.value if first.low is None else first.low)
    return ends[0] >= ends[1]


def _line(
    completion: ZooCompletion, reference: Mapping[str, float], device: str, pair: Pair, i: int, j: int
) -> RankedLine:
    """A pair with its interval: of ALS where it is completed, else of its distance from the best measured one."""
    evidence, value = completion.matrix.evidence, float(completion.values[i, j])
    costs, basis = _costs(evidence, pair, device), completion.status(i, j)
    ends: tuple[float | None, float | None] = (float(completion.low[i, j]), float(completion.high[i, j]))
    equal = False
    if basis == "measured":
        low, high, equal = _distance(_by_family(evidence, pair), reference)
        ends = (
            (None, None) if low is None or high is None else (max(value + low, 0.0), min(value + high, 1.0))
        )
    return RankedLine(
        pair.label, value, *ends, basis, equal, costs.latency_ms, costs.parameters, costs.training_s
    )


def _distance(
    own: Mapping[str, float], reference: Mapping[str, float]
) -> tuple[float | None, float | None, bool]:
    """How far the 95 % interval of the distance from the reference reaches to either side of its mean, and whether it holds
    zero; no interval of the reference itself, nor from fewer than two families."""
    gaps = {family: own[family] - reference[family] for family in own if family in reference}
    if own == reference or len(gaps) < 2:
        return None, None, own == reference
    gap = bootstrap(gaps)
    return gap.low - gap.mean, gap.high - gap.mean, gap.high >= 0


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
