"""The completer `als`: explicit ALS with biases, its scale, rank and regularisation chosen on hidden cells."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import pandas as pd

from lib.performance_prediction.als.explicit import AlsModel, fit_als
from lib.performance_prediction.als.fold_in import TableCompletion
from lib.performance_prediction.table.hold_out import best_candidate
from lib.performance_prediction.table.score_scale import ScaleName, ScoreScale
from lib.performance_prediction.table.score_table import COMPLETERS, Completer, Completion, Floats, ScoreTable

RANKS = (0, 1, 2, 4, 8)
REGULARISATIONS = (0.3, 1.0, 3.0)  # in units of the measured cells' variance
SWEEPS = 25


class AlsCompletion(TableCompletion):
    """ALS on a scale of its own; a new row is solved in closed form against the column factors."""

    def __init__(self, model: AlsModel, scale: ScoreScale, table: ScoreTable) -> None:
        mean = scale.backward(model.predict())
        super().__init__(mean, model.spread(table.observed) * scale.slope(mean))
        self.model = model
        self.scale = scale

    def fold_in(self, values: Floats, features: pd.DataFrame | None = None) -> tuple[Floats, Floats]:
        """See `Completion.fold_in`."""
        modelled, spread = self.model.fold_in(self.scale.forward(values))
        mean = self.scale.backward(modelled)
        return mean, spread * self.scale.slope(mean)


@COMPLETERS.register("als")
@dataclass(frozen=True)
class BiasedAls(Completer):
    """Explicit, bias-aware ALS over the observed cells only."""

    scale: ScaleName | None = None
    rank: int | None = None
    regularisation: float = 1.0

    def tuned(self, table: ScoreTable, seed: int = 0) -> BiasedAls:
        """See `Completer.tuned`: scale first, at rank 2, then rank and regularisation together."""
        if self.scale is not None and self.rank is not None:
            return self
        scales: tuple[ScaleName, ...] = ("logit", "identity")
        scale = scales[best_candidate(table, [BiasedAls(name, 2) for name in scales], seed)]
        widest = max(0, min(table.values.shape) - 1)
        grid = [BiasedAls(scale, *pair) for pair in product(RANKS, REGULARISATIONS) if pair[0] <= widest]
        return grid[best_candidate(table, grid, seed)]

    def fit(self, table: ScoreTable, seed: int = 0) -> Completion:
        """See `Completer.fit`."""
        chosen = self.tuned(table, seed)
        assert chosen.scale is not None and chosen.rank is not None
        scale = ScoreScale.fit(chosen.scale, table.values)
        model = fit_als(scale.forward(table.values), chosen.rank, chosen.regularisation, SWEEPS, seed)
        return AlsCompletion(model, scale, table)
