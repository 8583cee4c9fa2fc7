"""The trivial predictors that CatBoost must beat: means, additive effects, the most similar data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lib.performance_prediction.als.matrix import Effects, family_weights, fit_effects
from lib.performance_prediction.boosting.contract import (
    SET_PREDICTORS,
    Facts,
    FittedSetPredictor,
    Floats,
    SetPredictor,
    chance_level,
    lift,
    unlift,
)
from lib.performance_prediction.boosting.evidence import Cell, Evidence, Pair
from lib.performance_prediction.boosting.similarity import feature_space
from lib.records import DataSetFacts


@dataclass(frozen=True)
class _Rule(FittedSetPredictor):
    """A predictor that is one function of the new set's facts and a pair."""

    quality: Callable[[DataSetFacts, Pair], float]

    def predict(self, facts: DataSetFacts, pairs: Sequence[Pair]) -> Floats:
        return np.clip([self.quality(facts, pair) for pair in pairs], 0.0, 1.0)


@SET_PREDICTORS.register("global_mean")
class GlobalMean(SetPredictor):
    """One number for everything: the mean of all measured cells, families weighing the same."""

    trivial = True

    def fit(self, evidence: Evidence, facts: Facts, seed: int = 0) -> FittedSetPredictor:
        mean = _weighted_mean(evidence.cells)
        return _Rule(lambda facts, pair: mean)


@SET_PREDICTORS.register("column_mean")
class ColumnMean(SetPredictor):
    """Each pair's mean over the data sets it was run on; the global mean for a pair never run."""

    trivial = True

    def fit(self, evidence: Evidence, facts: Facts, seed: int = 0) -> FittedSetPredictor:
        mean = _weighted_mean(evidence.cells)
        by_pair = {p: _weighted_mean([c for c in evidence.cells if c.pair == p]) for p in evidence.pairs}
        return _Rule(lambda facts, pair: by_pair.get(pair, mean))


@SET_PREDICTORS.register("additive")
class Additive(SetPredictor):
    """The pair's effect on the mean data set, data-set effects taken out first."""

    trivial = True

    def fit(self, evidence: Evidence, facts: Facts, seed: int = 0) -> FittedSetPredictor:
        effects = fit_effects(evidence.cells)
        return _Rule(lambda facts, pair: expected(effects, pair))


@SET_PREDICTORS.register("additive_lift")
class AdditiveLift(SetPredictor):
    """Additive on the way from chance to perfect: an unbalanced set starts from its largest class's share."""

    trivial = True

    def fit(self, evidence: Evidence, facts: Facts, seed: int = 0) -> FittedSetPredictor:
        effects = fit_lifted(evidence.cells, facts)

        def quality(new: DataSetFacts, pair: Pair) -> float:
            return float(unlift(expected(effects, pair), chance_level(new)))

        return _Rule(quality)


@SET_PREDICTORS.register("nearest_set")
class NearestSet(SetPredictor):
    """What the pair reached on the data set that looks most alike; its additive estimate where it was not run there."""

    trivial = True

    def fit(self, evidence: Evidence, facts: Facts, seed: int = 0) -> FittedSetPredictor:
        effects = fit_effects(evidence.cells)
        measured = {(cell.data_set, cell.pair): cell.quality for cell in evidence.cells}
        known = {name: facts[name] for name in evidence.data_sets if name in facts}
        space = feature_space(known)

        def quality(new: DataSetFacts, pair: Pair) -> float:
            distances = {name: d for name, d in space.distances(new).items() if np.isfinite(d)}
            if not distances:
                return expected(effects, pair)
            nearest = min(distances, key=distances.__getitem__)
            return measured.get((nearest, pair), expected(effects, pair, nearest))

        return _Rule(quality)


def expected(effects: Effects, pair: Pair, data_set: str | None = None) -> float:
    """Level, set effect and pair effect summed, not clipped; effects that are not known count as zero."""
    return effects.level + effects.data_sets.get(data_set or "", 0.0) + effects.pairs.get(pair, 0.0)


def fit_lifted(cells: Sequence[Cell], facts: Facts) -> Effects:
    """Additive effects on the scale of lift; a set counts by its squared room above chance, so that errors of quality decide."""
    return fit_effects(lifted_cells(cells, facts), room_above_chance(cells, facts))


def room_above_chance(cells: Sequence[Cell], facts: Facts) -> dict[str, float]:
    """Data set → (1 − chance)²: what a squared error of lift is worth as a squared error of quality."""
    return {cell.data_set: (1 - chance_level(facts.get(cell.data_set))) ** 2 for cell in cells}


def lifted_cells(cells: Sequence[Cell], facts: Facts) -> list[Cell]:
    """The cells with their quality as lift over each set's chance level."""
    return [
        replace(cell, quality=float(lift(cell.quality, chance_level(facts.get(cell.data_set)))))
        for cell in cells
    ]


def _weighted_mean(cells: Sequence[Cell]) -> float:
    weights = family_weights({cell.data_set: cell.family for cell in cells})
    return float(np.average([c.quality for c in cells], weights=[weights[c.data_set] for c in cells]))
