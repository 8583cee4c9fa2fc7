"""What the benchmark says to people: the best pair of each set, ranks with critical differences, what each choice bought."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

import numpy as np

from lib.performance_prediction.boosting.cells import Cell, Pair, pair_of
from lib.performance_prediction.boosting.evidence import Evidence
from lib.performance_prediction.boosting.scores import Interval, bootstrap
from lib.recommendation.questions import FROZEN, QUESTIONS, TUNED, Part, gains
from lib.records import CHANCE_HEAD, RunRecord
from lib.records.intervals import NORMAL_95, around

PROBE_HEAD = {"classification": "linear", "segmentation": "linear_mask"}
LEVEL = 0.05
FEWEST_FAMILIES = 3


@dataclass(frozen=True)
class BestPair:
    """The pair that the validation parts choose on one set, on its test parts; `linear`: the linear probe on its network; `chance`: the
    largest class or the empty mask; None where it was not run. `seconds`: features and training over all folds."""

    data_set: str
    domain: str
    n_images: int
    pair: Pair
    quality: float
    low: float
    high: float
    linear: float | None
    chance: float | None
    seconds: float


@dataclass(frozen=True)
class Ranks:
    """Average rank of each pair (1: best) over families that have all of them, best first; two that differ by less than `critical` are not
    told apart at 5 % (Nemenyi's test after Friedman's; Demšar 2006, "Statistical Comparisons of Classifiers over Multiple Data Sets").
    `p`: of Friedman's test that all are alike."""

    mean: Mapping[Pair, float]
    critical: float
    n_families: int
    p: float


@dataclass(frozen=True)
class Bought:
    """What one choice brought: the difference in quality with everything else alike, mean over families with its 95 % interval."""

    choice: str
    gain: Interval
    n_families: int


def best_pairs(evidence: Evidence, records: Iterable[RunRecord]) -> list[BestPair]:
    """One for each data set of the evidence. `records`: those that it was gathered from, the chance line among them."""
    runs = {(run.data_set.name, pair_of(run)): run for run in evidence.runs}
    chance = {
        r.data_set.name: r.quality(metric=evidence.metric)
        for r in records
        if r.head.name == CHANCE_HEAD and r.status == "finished"
    }
    of_set: defaultdict[str, list[Cell]] = defaultdict(list)
    for cell in evidence.cells:
        of_set[cell.data_set].append(cell)
    return [
        _best_pair(cells, runs, chance.get(name), PROBE_HEAD[evidence.task])
        for name, cells in sorted(of_set.items(), key=lambda one: (_domain(runs, one[1]), one[0]))
    ]


def _domain(runs: Mapping[tuple[str, Pair], RunRecord], cells: Sequence[Cell]) -> str:
    return runs[cells[0].data_set, cells[0].pair].data_set.domain


def _best_pair(
    cells: Sequence[Cell], runs: Mapping[tuple[str, Pair], RunRecord], chance: float | None, probe: str
) -> BestPair:
    best = max(cells, key=lambda cell: (cell.chosen_by, cell.pair))
    run = runs[best.data_set, best.pair]
    low, high = around(best.quality, NORMAL_95 * (best.standard_error or 0.0))
    linear = [cell.quality for cell in cells if cell.pair == Pair(best.pair.backbone, probe)]
    return BestPair(
        data_set=best.data_set,
        domain=run.data_set.domain,
        n_images=run.data_set.n_images,
        pair=best.pair,
        quality=best.quality,
        low=low,
        high=high,
        linear=linear[0] if linear else None,
        chance=chance,
        seconds=run.timing.features_s + run.timing.training_s,
    )


def ranks(evidence: Evidence) -> Ranks | None:
    """Of the pairs that every family has (sets of one family averaged); None with fewer than three families or pairs."""
    from scipy.stats import friedmanchisquare, rankdata, studentized_range

    names = [evidence.families[name] for name in evidence.data_sets]
    families = sorted(set(names))
    with np.errstate(invalid="ignore"):
        table = np.array([_mean_rows(evidence.values, [n == family for n in names]) for family in families])
    whole = [j for j in range(table.shape[1]) if np.isfinite(table[:, j]).all()]
    if len(families) < FEWEST_FAMILIES or len(whole) < FEWEST_FAMILIES:
        return None
    values = table[:, whole]
    mean = np.mean([rankdata(-row) for row in values], axis=0)
    k, n = len(whole), len(families)
    critical = (
        float(studentized_range.ppf(1 - LEVEL, k, np.inf)) / math.sqrt(2) * math.sqrt(k * (k + 1) / (6 * n))
    )
    ordered = sorted(zip(mean.tolist(), (evidence.pairs[j] for j in whole), strict=True))
    return Ranks(
        {pair: rank for rank, pair in ordered}, critical, n, float(friedmanchisquare(*values.T).pvalue)
    )


def _mean_rows(values: np.ndarray, chosen: Sequence[bool]) -> np.ndarray:
    """The mean row, NaN where one of the rows is."""
    return values[np.array(chosen)].mean(axis=0)


def bought(evidence: Evidence, records: Sequence[RunRecord]) -> list[Bought]:
    """What pretraining, a network, a bigger network, a bigger head and fine-tuning brought, those that records compare."""
    (_, regime, same_head), (_, network, same_column), (_, head, same_network) = QUESTIONS
    sizes = {run.backbone.name: run.backbone.parameters for run in evidence.runs}
    ordered = sorted((name for name in sizes if sizes[name]), key=lambda name: (sizes[name], name))
    compared: list[tuple[str, Mapping[str, float]]] = [
        ("pretraining: pretrained against random weights", _pretraining(evidence, records))
    ]

    def add(choice: str, option: Part, alike: Part, first: str, second: str) -> None:
        compared.append((choice, gains(evidence, option, alike, first, second)))

    for name in ordered:
        add(f"a network: {name} against hand-made statistics", network, same_column, name, "handcrafted")
    for small, big in pairwise(ordered):
        add(
            f"a bigger network: {big} ({_millions(sizes[big])}) against {small} ({_millions(sizes[small])})",
            network,
            same_column,
            big,
            small,
        )
    for small, big in (
        ("knn", "linear"),
        ("linear", "mlp"),
        ("linear", "student"),
        ("linear_mask", "deeplabv3plus"),
    ):
        add(f"a bigger head: {big} against {small}", head, same_network, big, small)
    add("fine-tuning: against the same pair frozen", regime, same_head, TUNED, FROZEN)
    return [Bought(choice, bootstrap(found), len(found)) for choice, found in compared if found]


def _pretraining(evidence: Evidence, records: Sequence[RunRecord]) -> dict[str, float]:
    """Family → pretrained minus random weights of the same pair on the same set, on the folds that both ran."""
    random = [
        r
        for r in records
        if r.status == "finished" and r.backbone.weights_origin == "random" and r.head.name != CHANCE_HEAD
    ]
    own = {(run.data_set.fingerprint, pair_of(run)): run for run in evidence.runs}
    found: defaultdict[str, list[float]] = defaultdict(list)
    for run in random:
        other = own.get((run.data_set.fingerprint, pair_of(run)))
        pairs = (r.fold_qualities(evidence.metric) for r in (run, other) if r)
        theirs, *ours = pairs
        shared = theirs.keys() & ours[0].keys() if ours else ()
        if shared:
            found[evidence.families[run.data_set.name]].append(fmean(ours[0][k] - theirs[k] for k in shared))
    return {family: fmean(values) for family, values in found.items()}


def _millions(parameters: int) -> str:
    return f"{parameters / 1e6:.1f} M"
