"""Which networks to look through first on a new data set: those whose cells tell most about all others within a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lib.errors import TooLittleDataError
from lib.performance_prediction.als.matrix import family_weights
from lib.performance_prediction.boosting.cells import Pair
from lib.performance_prediction.boosting.contract import Floats
from lib.performance_prediction.boosting.evidence import Evidence
from lib.performance_prediction.boosting.pair_gaussian import filled
from lib.records.costs import Rates, usual_device
from lib.records.schema import PROBE_BACKBONES, PROBE_HEADS, PROBE_IMAGES, PROBE_S

SHRINKAGE = 0.1  # towards independent pairs: enough to choose by; predictors choose their own


@dataclass(frozen=True)
class ProbeStep:
    """One network more to look through. `seconds`: of all so far, for PROBE_IMAGES; `error`: mean absolute error of what is then said of
    every pair that is not measured, families left out; that of the pairs' means at the start."""

    backbone: str
    seconds: float
    error: float


@dataclass(frozen=True)
class ProbeChoice:
    """The networks in the order of choice, the error of the pairs' means without any, and the pairs that are measured."""

    steps: tuple[ProbeStep, ...]
    error_without: float
    pairs: tuple[Pair, ...]

    @property
    def backbones(self) -> tuple[str, ...]:
        """The chosen networks."""
        return tuple(step.backbone for step in self.steps)


def choose_probes(
    evidence: Evidence, seconds: float, heads: Sequence[str] = PROBE_HEADS, first: Sequence[str] = ()
) -> ProbeChoice:
    """Greedy: always the network that lowers the error most and still fits into `seconds` on the records' device, until none
    fits or helps. At least the quickest, also where it does not fit; `first` those that are looked through in any case.

    Raises TooLittleDataError with fewer than three families, or where no network was timed.
    """
    if len({evidence.families[name] for name in evidence.data_sets}) < 3:
        raise TooLittleDataError("choosing what to probe needs runs on at least three unrelated data sets")
    costs = _costs(evidence, heads)
    pairs_of = {name: [p for p in evidence.pairs if p.backbone == name and p.head in heads] for name in costs}
    table = _Table.of(evidence)
    steps: list[ProbeStep] = []
    chosen: list[Pair] = []
    without = error = table.error([])
    spent = 0.0
    while left := [name for name in costs if name not in {step.backbone for step in steps}]:
        fitting = [name for name in left if spent + costs[name] <= seconds]
        if not fitting and not steps:
            fitting = [min(left, key=costs.__getitem__)]
        fitting = [name for name in first if name in fitting] or fitting
        tried = {name: table.error([*chosen, *pairs_of[name]]) for name in fitting}
        best = min(tried, key=tried.__getitem__, default=None)
        if best is None or (tried[best] >= error and steps and best not in first):
            break
        error, spent = tried[best], spent + costs[best]
        chosen += pairs_of[best]
        steps.append(ProbeStep(best, spent, error))
    return ProbeChoice(tuple(steps), without, tuple(chosen))


def _costs(evidence: Evidence, heads: Sequence[str]) -> Mapping[str, float]:
    """Backbone → seconds to measure `heads` on it over the folds of PROBE_IMAGES; only what the records time."""
    rates = Rates.of(evidence.runs, usual_device(evidence.runs) or "")
    trained = {run.data_set.name: (len(run.recipe.folds), run.recipe.epochs) for run in evidence.runs}
    folds, epochs = (int(np.median(numbers)) for numbers in zip(*trained.values(), strict=True))
    costs = {}
    for name in sorted({pair.backbone for pair in evidence.pairs}):
        there = [head for head in heads if Pair(name, head) in evidence.pairs]
        features = rates.features_s(name, PROBE_IMAGES)
        images = int(0.6 * PROBE_IMAGES) * folds  # of a fold, three fifths are trained on
        training = [rates.training_s(head, False, name, images, epochs) or 0.0 for head in there]
        if there and features is not None:
            costs[name] = features + sum(training)
    if not costs:
        raise TooLittleDataError("no run says how long a network takes: run the zoo with frozen heads first")
    return costs


@dataclass(frozen=True)
class _Table:
    """Qualities (n_sets, n_pairs), holes filled by additive effects; weights and families of the sets, mean squared errors."""

    pairs: tuple[Pair, ...]
    values: Floats
    weights: Floats
    families: Sequence[str]
    noise: float

    @classmethod
    def of(cls, evidence: Evidence) -> _Table:
        families = [evidence.families[name] for name in evidence.data_sets]
        weights = family_weights(dict(zip(evidence.data_sets, families, strict=True)))
        errors = [cell.standard_error for cell in evidence.cells if cell.standard_error is not None]
        noise = float(np.mean(np.square(errors))) if errors else 1e-4
        return cls(evidence.pairs, filled(evidence), np.array([*weights.values()]), families, noise)

    def error(self, known: Sequence[Pair]) -> float:
        """Mean absolute error on the unknown pairs of a family left out, given its `known` cells."""
        given = [self.pairs.index(pair) for pair in known]
        hidden = [j for j in range(len(self.pairs)) if j not in given]
        if not hidden:
            return 0.0
        names = np.array(self.families)
        return float(np.mean([self._left_out(names == family, given, hidden) for family in sorted({*names})]))

    def _left_out(self, own: np.typing.NDArray[np.bool_], given: list[int], hidden: list[int]) -> float:
        rest, weights = self.values[~own], self.weights[~own]
        mean = np.average(rest, axis=0, weights=weights)
        centred = (rest - mean) * np.sqrt(weights / weights.sum())[:, None]
        covariance = (1 - SHRINKAGE) * centred.T @ centred
        covariance += np.diag(SHRINKAGE * np.square(centred).sum(0) + self.noise)
        surprise = (self.values[own][:, given] - mean[given]).T
        gain = (
            np.linalg.solve(covariance[np.ix_(given, given)], surprise) if given else np.zeros((0, own.sum()))
        )
        said = mean[hidden][:, None] + covariance[np.ix_(hidden, given)] @ gain
        return float(np.abs(said - self.values[own][:, hidden].T).mean())


def with_probes(evidence: Evidence, seconds: float) -> Evidence:
    """The evidence for a set on which as much is probed as fits into `seconds`; for the usual time, masks and thin records what is
    always probed, which a longer time only adds to."""
    if seconds == PROBE_S or evidence.task == "segmentation":
        return evidence
    try:
        first = PROBE_BACKBONES if seconds > PROBE_S else ()
        return replace(evidence, probed=choose_probes(evidence, seconds, first=first).pairs)
    except TooLittleDataError:
        return evidence
