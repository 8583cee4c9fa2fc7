"""Simple predictors that models must beat: means, additive effects, the nearest set; with known cells: their mean shift."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lib.performance_prediction.als.matrix import Effects, fit_effects
from lib.performance_prediction.boosting.cells import Cell, Pair
from lib.performance_prediction.boosting.contract import (
    SET_PREDICTORS,
    FittedSetPredictor,
    Floats,
    KnownCells,
    SetPredictor,
    chance_level,
    lift,
    unlift,
)
from lib.performance_prediction.boosting.evidence import Evidence
from lib.performance_prediction.boosting.set_table import set_values
from lib.performance_prediction.boosting.similarity import feature_space
from lib.records import DataSetFacts

Rule = Callable[[DataSetFacts, KnownCells], Callable[[Pair], float]]


@dataclass(frozen=True)
class _Ruled(FittedSetPredictor):
    """A predictor that is a function of a pair once the new set's facts and known cells are given."""

    quality: Rule

    def predict(self, facts: DataSetFacts, pairs: Sequence[Pair], known: KnownCells) -> Floats:
        return np.clip([*map(self.quality(facts, known), pairs)], 0.0, 1.0)


@SET_PREDICTORS.register("additive")
class Additive(SetPredictor):
    """The pair's effect on the mean data set, data-set effects taken out first."""

    simplicity = 1

    def fit(self, evidence: Evidence, seed: int = 0) -> FittedSetPredictor:
        effects = fit_effects(evidence.cells)
        return _Ruled(lambda facts, known: lambda pair: expected(effects, pair))


@SET_PREDICTORS.register("additive_lift")
class AdditiveLift(SetPredictor):
    """The same on the scale of lift over the set's chance level: a share of the way from chance to perfect."""

    simplicity = 2

    def fit(self, evidence: Evidence, seed: int = 0) -> FittedSetPredictor:
        effects = fit_effects(lifted_cells(evidence), room_above_chance(evidence))

        def quality(facts: DataSetFacts, known: KnownCells) -> Callable[[Pair], float]:
            chance = chance_level(facts, evidence.metric)
            return lambda pair: float(unlift(expected(effects, pair), chance))

        return _Ruled(quality)


@SET_PREDICTORS.register("nearest_set")
class NearestSet(SetPredictor):
    """What the pair reached on the data set that looks most alike; its additive estimate where it was not run there."""

    simplicity = 3

    def fit(self, evidence: Evidence, seed: int = 0) -> FittedSetPredictor:
        space = feature_space({n: evidence.facts[n] for n in evidence.data_sets if n in evidence.facts})

        def nearest(facts: DataSetFacts, known: KnownCells) -> str | None:
            distances = {name: d for name, d in space.distances(facts).items() if np.isfinite(d)}
            return min(distances, key=distances.__getitem__, default=None)

        return _Ruled(_as_on(evidence, nearest))


@SET_PREDICTORS.register("shift_only")
class ShiftOnly(SetPredictor):
    """Additive effects, moved by how far the known cells lie from theirs on average."""

    regimes = ("probed",)
    simplicity = 1

    def fit(self, evidence: Evidence, seed: int = 0) -> FittedSetPredictor:
        effects = fit_effects(evidence.cells)

        def quality(facts: DataSetFacts, known: KnownCells) -> Callable[[Pair], float]:
            shift = shift_of(effects, known)
            return lambda pair: expected(effects, pair) + shift

        return _Ruled(quality)


@SET_PREDICTORS.register("nearest_in_known")
class NearestInKnown(SetPredictor):
    """The data set whose cells differ least from the known ones; where it lacks the pair, its additive estimate."""

    regimes = ("probed",)
    simplicity = 3

    def fit(self, evidence: Evidence, seed: int = 0) -> FittedSetPredictor:
        values, column = set_values(evidence), {pair: j for j, pair in enumerate(evidence.pairs)}

        def nearest(facts: DataSetFacts, known: KnownCells) -> str | None:
            told = [pair for pair in known if pair in column]
            squares = np.square(values[:, [column[p] for p in told]] - [known[p].quality for p in told])
            n_shared = np.isfinite(squares).sum(axis=1)
            if not n_shared.any():
                return None
            distances = np.where(n_shared == n_shared.max(), np.nansum(squares, axis=1), np.inf)
            return evidence.data_sets[int(np.argmin(distances))]

        return _Ruled(_as_on(evidence, nearest))


def _as_on(evidence: Evidence, nearest: Callable[[DataSetFacts, KnownCells], str | None]) -> Rule:
    """The quality that a pair reached on the data set that `nearest` names."""
    effects, measured = fit_effects(evidence.cells), _measured(evidence)

    def quality(facts: DataSetFacts, known: KnownCells) -> Callable[[Pair], float]:
        name = nearest(facts, known)
        return lambda pair: measured.get((name or "", pair), expected(effects, pair, name))

    return quality


def _measured(evidence: Evidence) -> dict[tuple[str, Pair], float]:
    return {(cell.data_set, cell.pair): cell.quality for cell in evidence.cells}


def expected(effects: Effects, pair: Pair, data_set: str | None = None) -> float:
    """Level, set effect and pair effect summed, not clipped; effects that are not known count as zero."""
    return effects.level + effects.data_sets.get(data_set or "", 0.0) + effects.pairs.get(pair, 0.0)


def shift_of(effects: Effects, known: KnownCells) -> float:
    """How far the known cells lie above what is expected of their pairs, on average; 0 without any."""
    gaps = [cell.quality - expected(effects, p) for p, cell in known.items() if p in effects.pairs]
    return float(np.mean(gaps)) if gaps else 0.0


def room_above_chance(evidence: Evidence) -> dict[str, float]:
    """Data set → (1 − chance)²: what a squared error of lift is worth as a squared error of quality."""
    return {name: (1 - chance) ** 2 for name, chance in _chances(evidence).items()}


def lifted_cells(evidence: Evidence) -> list[Cell]:
    """The cells with their quality as lift over each set's chance level."""
    chances = _chances(evidence)
    return [
        replace(cell, quality=float(lift(cell.quality, chances[cell.data_set]))) for cell in evidence.cells
    ]


def _chances(evidence: Evidence) -> Mapping[str, float]:
    return {name: chance_level(evidence.facts.get(name), evidence.metric) for name in evidence.data_sets}
