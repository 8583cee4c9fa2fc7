"""Which model to hand over: out-of-fold answers, calibrated and compared image by image; among equals the cheapest.

What is compared is the Brier score of the calibrated answers, which tells networks apart on fewer images than the number of hits
does (`lib.zoo.jobs.validation_scores`); what is reported is the metric that was asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lib.records.schema import Metric

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

TEMPERATURES = np.geomspace(0.2, 8.0, 60)
SMALLEST = 1e-7
MOST_MEMBERS = 3
PAYS = 0.01  # of its error, that an ensemble has to save
BY_CLASS = ("balanced_accuracy", "macro_f1")


@dataclass(frozen=True)
class Candidate:
    """One model that could be handed over. `answers` (n_files, n_classes): out-of-fold probabilities, NaN where it gave none.
    `keys`: of its members' records; `temperatures`: of each member, and the last one of their mean; `network`: its backbone."""

    name: str
    keys: tuple[str, ...]
    answers: Floats
    latency_ms: float
    parameters: int
    temperatures: tuple[float, ...] = ()
    network: str = ""

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Where it answered, (n_files,)."""
        return np.asarray(np.isfinite(self.answers).all(axis=1))


@dataclass(frozen=True)
class Paired:
    """How much worse one candidate is than another on the images both answered, and the standard error of that."""

    worse: float
    error: float


@dataclass(frozen=True)
class Choice:
    """`equals`: what could not be told from the best single model, the cheapest first. `reason`: why this one, in words."""

    chosen: Candidate
    equals: tuple[Candidate, ...]
    reason: str


def tempered(probabilities: Floats, temperature: float) -> Floats:
    """softmax(log p / T) of rows that add up to 1 (Guo et al. 2017, arXiv:1706.04599)."""
    logits = np.log(np.clip(probabilities, SMALLEST, 1)) / temperature
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def best_temperature(probabilities: Floats, labels: Labels) -> float:
    """The one of a grid with the lowest log loss; 1 where there is nothing to learn it from."""
    known = np.isfinite(probabilities).all(axis=1)
    if not known.any():
        return 1.0
    shown, truth = probabilities[known], labels[known]
    rows = np.arange(len(truth))
    losses = [-np.log(np.maximum(tempered(shown, t)[rows, truth], SMALLEST)).mean() for t in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmin(losses))])


def calibrated(candidate: Candidate, labels: Labels) -> Candidate:
    """A single model with its temperature, its answers tempered by it."""
    temperature = best_temperature(candidate.answers, labels)
    return replace(
        candidate, answers=tempered(candidate.answers, temperature), temperatures=(temperature, 1.0)
    )


def brier(candidate: Candidate, labels: Labels, metric: Metric) -> Floats:
    """Half the squared distance of each answer from the truth, (n_files,); where the metric counts classes alike, so does this."""
    n_classes = candidate.answers.shape[1]
    scores = np.square(candidate.answers - np.eye(n_classes)[labels]).sum(axis=1) / 2
    if metric not in BY_CLASS:
        return scores
    known = candidate.known
    counts = np.bincount(labels[known], minlength=n_classes)
    weights = known.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return scores * weights[labels]


def paired(one: Candidate, other: Candidate, labels: Labels, metric: Metric) -> Paired:
    """How much worse `one` is than `other`."""
    both = one.known & other.known
    gaps = brier(one, labels, metric)[both] - brier(other, labels, metric)[both]
    if len(gaps) < 2:
        return Paired(math.inf, 0.0)
    return Paired(float(gaps.mean()), float(gaps.std(ddof=1) / math.sqrt(len(gaps))))


def best_of(candidates: Sequence[Candidate], labels: Labels, metric: Metric) -> Candidate:
    """The one that every other is worse than, on what both answered. Those that answered most images are asked first, so that
    one with few folds has to beat the best on these."""
    order = sorted(candidates, key=lambda c: -int(c.known.sum()))
    best = order[0]
    for one in order[1:]:
        if paired(one, best, labels, metric).worse < 0:
            best = one
    return best


def equals_of(
    best: Candidate, candidates: Sequence[Candidate], labels: Labels, metric: Metric
) -> tuple[Candidate, ...]:
    """Those within one standard error of the difference from the best, the cheapest first."""
    found = []
    for one in candidates:
        gap = paired(one, best, labels, metric)
        if one is best or gap.worse <= gap.error:
            found.append(one)
    return tuple(sorted(found, key=lambda c: (c.latency_ms, c.parameters)))


def choose(
    singles: Sequence[Candidate],
    labels: Labels,
    metric: Metric,
    max_latency_ms: float | None = None,
    max_parameters: int | None = None,
) -> Choice:
    """The model to hand over, out of at least one candidate."""
    ready = [calibrated(one, labels) for one in singles]
    best = best_of(ready, labels, metric)
    equals = equals_of(best, ready, labels, metric)
    cheapest = equals[0]
    ensemble = _ensemble(best, ready, labels, metric, max_latency_ms, max_parameters)
    if ensemble:
        gain = paired(best, ensemble, labels, metric)
        reason = (
            f"an ensemble of {len(ensemble.keys)}: its error (Brier) is {gain.worse:.4f} ± {gain.error:.4f} below that of the "
            f"best single pair, {best.name}"
        )
        return Choice(ensemble, equals, reason)
    if cheapest is not best:
        return Choice(cheapest, equals, f"the cheapest of {len(equals)} that cannot be told from {best.name}")
    rest = f", and the cheapest of {len(equals)} that cannot be told apart" if len(equals) > 1 else ""
    return Choice(best, equals, f"the best on the folds{rest}")


def _ensemble(
    best: Candidate,
    ready: Sequence[Candidate],
    labels: Labels,
    metric: Metric,
    max_latency_ms: float | None,
    max_parameters: int | None,
) -> Candidate | None:
    """The mean of the best pairs of three networks, or of two, where it saves `PAYS` of the best pair's error; None where none
    does. Networks err apart, heads on one network alike. To ask for a saving beyond its standard error would cost hits: docs/fit.md
    has the measurement."""
    members = team_of(
        best,
        ready,
        labels,
        metric,
        MOST_MEMBERS,
        lambda team: _allowed(team, max_latency_ms, max_parameters),
    )
    for size in range(len(members), 1, -1):
        team = mixed(members[:size], labels)
        least = PAYS * float(np.nanmean(brier(best, labels, metric)[team.known]))
        if paired(best, team, labels, metric).worse > least:
            return team
    return None


def team_of(
    best: Candidate,
    ready: Sequence[Candidate],
    labels: Labels,
    metric: Metric,
    size: int,
    allowed: Callable[[Sequence[Candidate]], bool] = lambda team: True,
) -> list[Candidate]:
    """The best pairs of at most `size` networks, `best` first, then those that are least worse than it on images both answered."""
    members = [best]
    for one in sorted(ready, key=lambda one: paired(one, best, labels, metric).worse):
        fresh = one.network not in {member.network for member in members} and (one.known & best.known).any()
        if len(members) < size and fresh and allowed([*members, one]):
            members.append(one)
    return members


def mixed(members: Sequence[Candidate], labels: Labels) -> Candidate:
    """The mean of calibrated members, calibrated once more."""
    mean = np.mean([one.answers for one in members], axis=0)
    temperature = best_temperature(mean, labels)
    return Candidate(
        " + ".join(one.name for one in members),
        tuple(key for one in members for key in one.keys),
        tempered(mean, temperature),
        sum(one.latency_ms for one in members),
        sum(one.parameters for one in members),
        (*(one.temperatures[0] for one in members), temperature),
    )


def _allowed(team: Sequence[Candidate], max_latency_ms: float | None, max_parameters: int | None) -> bool:
    slow = max_latency_ms is not None and sum(one.latency_ms for one in team) > max_latency_ms
    return not slow and (max_parameters is None or sum(one.parameters for one in team) <= max_parameters)
