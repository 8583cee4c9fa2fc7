"""Simple predictors that models must beat: means, additive effects, the nearest set; with known cells: their mean shift."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from lib.performance_prediction.als.matrix import Effects, fit_effects
from lib.performance_prediction.boosting import contract
from lib.performance_prediction.boosting.cells import Cell, Pair
from lib.performance_prediction.boosting.contract import SET_PREDICTORS, Floats, KnownCells, chance_level
from lib.performance_prediction.boosting.evidence import Evidence
from lib.performance_prediction.boosting.similarity import feature_space
from lib.records import DataSetFacts
from lib.records.schema import Metric

Nearest = Callable[[DataSetFacts, KnownCells], str | None]


@dataclass(frozen=True)
class FittedEffects(contract.FittedSetPredictor):
    """Effects of the pairs, `lifted` ones on the scale of lift; `shifted` by how far the known cells lie from theirs."""

    effects: Effects
    metric: Metric
    lifted: bool
    shifted: bool

    def predict(self, facts: DataSetFacts, pairs: Sequence[Pair], known: KnownCells) -> Floats:
        chance = chance_level(facts, self.metric) if self.lifted else 0.0
        shift = shift_of(self.effects, known) if self.shifted else 0.0
        base = np.array([expected(self.effects, pair) + shift for pair in pairs])
        return np.clip(contract.unlift(base, chance), 0.0, 1.0)


@SET_PREDICTORS.register("additive")
class Additive(contract.SetPredictor):
    """The pair's effect on the mean data set, data-set effects taken out first."""

    simplicity = 1
    lifted: ClassVar[bool] = False

    def fit(self, evidence: Evidence, seed: int = 0) -> FittedEffects:
        effects = fit_effects(*lifted_cells(evidence)) if self.lifted else fit_effects(evidence.cells)
        return FittedEffects(effects, evidence.metric, self.lifted, "probed" in self.regimes)


@SET_PREDICTORS.register("additive_lift")
class AdditiveLift(Additive):
    """The same on the scale of lift over the set's chance level: a share of the way from chance to perfect."""

    simplicity = 2
    lifted = True


@SET_PREDICTORS.register("shift_only")
class ShiftOnly(Additive):
    """Additive effects, moved by how far the known cells lie from theirs on average."""

    regimes = ("probed",)


@dataclass(frozen=True)
class FittedNearest(contract.FittedSetPredictor):
    """The quality that a pair reached on the data set that `nearest` names; its additive estimate where it was not run there."""

    evidence: Evidence
    effects: Effects
    nearest: Nearest

    def predict(self, facts: DataSetFacts, pairs: Sequence[Pair], known: KnownCells) -> Floats:
        name = self.nearest(facts, known)
        there = {cell.pair: cell.quality for cell in self.evidence.cells if cell.data_set == name}
        return np.clip([there.get(pair, expected(self.effects, pair, name)) for pair in pairs], 0.0, 1.0)


@SET_PREDICTORS.register("nearest_set")
class NearestSet(contract.SetPredictor):
    """What the pair reached on the data set that looks most alike."""

    simplicity = 3

    def fit(self, evidence: Evidence, seed: int = 0) -> FittedNearest:
        space = feature_space({n: evidence.facts[n] for n in evidence.data_sets if n in evidence.facts})

        def nearest(facts: DataSetFacts, known: KnownCells) -> str | None:
            distances = space.distances(facts)
            return min(distances, key=distances.__getitem__, default=None)

        return FittedNearest(evidence, fit_effects(evidence.cells), nearest)


@SET_PREDICTORS.register("nearest_in_known")
class NearestInKnown(contract.SetPredictor):
    """What the pair reached on the data set whose cells differ least from the known ones."""

    regimes = ("probed",)
    simplicity = 3

    def fit(self, evidence: Evidence, seed: int = 0) -> FittedNearest:
        column = {pair: j for j, pair in enumerate(evidence.pairs)}

        def nearest(facts: DataSetFacts, known: KnownCells) -> str | None:
            told = {column[pair]: cell.quality for pair, cell in known.items() if pair in column}
            squares = np.square(evidence.values[:, [*told]] - [*told.values()])
            n_shared = np.isfinite(squares).sum(axis=1)
            if not n_shared.any():
                return None
            distances = np.where(n_shared == n_shared.max(), np.nansum(squares, axis=1), np.inf)
            return evidence.data_sets[int(np.argmin(distances))]

        return FittedNearest(evidence, fit_effects(evidence.cells), nearest)


def expected(effects: Effects, pair: Pair, data_set: str | None = None) -> float:
    """Level, set effect and pair effect summed, not clipped; effects that are not known count as zero."""
    return effects.level + effects.data_sets.get(data_set or "", 0.0) + effects.pairs.get(pair, 0.0)


def shift_of(effects: Effects, known: KnownCells) -> float:
    """How far the known cells lie above what is expected of their pairs, on average; 0 without any."""
    gaps = [cell.quality - expected(effects, p) for p, cell in known.items() if p in effects.pairs]
    return float(np.mean(gaps)) if gaps else 0.0


def lifted_cells(evidence: Evidence) -> tuple[list[Cell], dict[str, float]]:
    """The cells with their quality as lift over each set's chance level; and data set → (1 − chance)²: what a squared
    error of lift is worth as a squared error of quality."""
    chances = {n: chance_level(evidence.facts.get(n), evidence.metric) for n in evidence.data_sets}
    lifted = [
        replace(c, quality=float(contract.lift(c.quality, chances[c.data_set]))) for c in evidence.cells
    ]
    return lifted, {name: (1 - chance) ** 2 for name, chance in chances.items()}
