"""Frozen or fine-tuned? Which network? Which head? One sentence each: what is said of this set, and what records say of the two."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

from lib.performance_prediction.boosting.cells import Cell, Pair
from lib.performance_prediction.boosting.evidence import Evidence
from lib.performance_prediction.boosting.scores import Interval, bootstrap
from lib.recommendation.answer import Candidate, cheapest, counted
from lib.records.schema import head_of

FROZEN, TUNED = "frozen", "fine-tuned"


def regime_of(pair: Pair) -> str:
    """`frozen` or `fine-tuned`."""
    return TUNED if head_of(pair.head)[1] else FROZEN


Part = Callable[[Pair], str]
QUESTIONS: tuple[tuple[str, Part, Part], ...] = (
    ("Frozen or fine-tuned?", regime_of, lambda pair: f"{pair.backbone} {head_of(pair.head)[0]}"),
    ("Which network?", lambda pair: pair.backbone, lambda pair: pair.head),
    ("Which head?", lambda pair: head_of(pair.head)[0], lambda pair: f"{pair.backbone} {regime_of(pair)}"),
)
"""Question, what its options are, and what must be alike for two options to be compared."""


def answers(candidates: Sequence[Candidate], evidence: Evidence, floor: float | None) -> tuple[str, ...]:
    """One sentence a question. `candidates`: all that are considered, best first; `floor`: the noise floor."""
    return tuple(_answer(*question, candidates, evidence, floor) for question in QUESTIONS)


def gains(evidence: Evidence, option: Part, alike: Part, first: str, second: str) -> dict[str, float]:
    """Family → how much better `first` was than `second`, mean over sets and over what is else alike, on the folds that both ran."""
    places: defaultdict[tuple[str, str, str], dict[str, Cell]] = defaultdict(dict)
    for cell in evidence.cells:
        places[cell.family, cell.data_set, alike(cell.pair)][option(cell.pair)] = cell
    found: defaultdict[str, list[float]] = defaultdict(list)
    for (family, *_), cells in places.items():
        if first in cells and second in cells:
            found[family].append(_gain(cells[first], cells[second]))
    return {family: fmean(values) for family, values in found.items()}


def _gain(own: Cell, other: Cell) -> float:
    shared = own.folds.keys() & other.folds.keys()
    if not shared:
        return own.quality - other.quality
    return fmean(own.folds[fold] - other.folds[fold] for fold in shared)


def _answer(
    question: str,
    option: Part,
    alike: Part,
    candidates: Sequence[Candidate],
    evidence: Evidence,
    floor: float | None,
) -> str:
    best: dict[str, Candidate] = {}
    for candidate in candidates:
        best.setdefault(option(candidate.pair), candidate)
    if len(best) < 2:
        (only,) = best
        missing = (
            f": no {TUNED if only == FROZEN else FROZEN} run of this task stands in the records"
            if option is regime_of
            else ", nothing else was run"
        )
        return f"{question} {only}{missing}"
    first, second = list(best)[:2]
    ahead = best[first].rank_by - best[second].rank_by
    noise = best[first].noise(best[second], floor)
    here = f"expected {ahead:+.3f} on {second} (within {noise:.3f} nothing is decided)"
    records = _records(gains(evidence, option, alike, first, second), first, second)
    if ahead > noise:
        return f"{question} {first}: {here}; {records}"
    cheaper = option(cheapest([best[first], best[second]]).pair)
    return f"{question} not decided by this evidence, so {cheaper}, the cheaper of {first} and {second}: {first} is {here}; {records}"


def _records(found: Mapping[str, float], first: str, second: str) -> str:
    if not found:
        return "no record compares the two"
    told: Interval = bootstrap(found)
    where = f"on {counted(len(found), 'unrelated set')} with the same partner"
    interval = f" ({told.low:+.3f} to {told.high:+.3f})" if len(found) > 1 else ""
    return f"{where} {first} was {told.mean:+.3f}{interval} against {second}"
