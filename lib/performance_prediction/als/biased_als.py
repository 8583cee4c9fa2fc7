"""The completer `als`: explicit ALS with biases, its scale, rank and regularisation chosen on hidden cells."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import product

from lib.performance_prediction.als.explicit import AlsModel, OnSweep, fit_als
from lib.performance_prediction.table.hold_out import best_candidate
from lib.performance_prediction.table.scales import Scale, ScaleName
from lib.performance_prediction.table.score_table import COMPLETERS, Completer, Completion, Floats, ScoreTable

RANKS = (0, 1, 2, 3, 4, 8)
REGULARISATIONS = (0.03, 0.1, 0.3, 1.0, 3.0)  # in units of the measured cells' variance
SWEEPS = 25
CHOICE_SWEEPS = 15  # enough to rank settings; the final fit takes the full number


@COMPLETERS.register("als")
@dataclass(frozen=True)
class BiasedAls(Completer):
    """Explicit, bias-aware ALS over the observed cells only; `row_side`, `column_side`: see `fit_als`."""

    scale: ScaleName | None = None
    rank: int | None = None
    regularisation: float | None = None
    highest_rank: int = RANKS[-1]
    sweeps: int = SWEEPS
    row_side: Floats | None = field(default=None, repr=False, compare=False)
    column_side: Floats | None = field(default=None, repr=False, compare=False)

    def tuned(self, table: ScoreTable, seed: int = 0) -> BiasedAls:
        """See `Completer.tuned`: scale first, at rank 2, then rank and regularisation together."""
        scale = self.scale or self._best_scale(table, seed)
        widest = min(self.highest_rank, max(0, min(table.values.shape) - 1))
        ranks = [min(self.rank, widest)] if self.rank is not None else [r for r in RANKS if r <= widest]
        strengths = REGULARISATIONS if self.regularisation is None else (self.regularisation,)
        grid = [
            replace(self, scale=scale, rank=rank, regularisation=strength)
            for rank, strength in product(ranks, strengths)
        ]
        short = [replace(candidate, sweeps=min(self.sweeps, CHOICE_SWEEPS)) for candidate in grid]
        return grid[best_candidate(table, short, seed)]

    def _best_scale(self, table: ScoreTable, seed: int) -> ScaleName:
        scales: tuple[ScaleName, ...] = ("logit", "identity")
        return scales[best_candidate(table, [BiasedAls(name, 2, 1.0) for name in scales], seed)]

    def fit(self, table: ScoreTable, seed: int = 0) -> Completion:
        scale, model = self.model(table, seed)
        mean = scale.backward(model.predict())
        return Completion(mean, model.spread(table.observed) * scale.slope(mean))

    def model(
        self, table: ScoreTable, seed: int = 0, on_sweep: OnSweep | None = None
    ) -> tuple[Scale, AlsModel]:
        """The fitted factors, and the scale they live on."""
        chosen = self if None not in (self.scale, self.rank, self.regularisation) else self.tuned(table, seed)
        assert chosen.scale is not None and chosen.rank is not None and chosen.regularisation is not None
        scale = Scale.fitted(chosen.scale, table.values)
        modelled = scale.forward(table.values)
        heard = on_sweep and (lambda sweep, loss: on_sweep(sweep, scale.unit * loss))
        sides = self.row_side, self.column_side
        return scale, fit_als(modelled, chosen.rank, chosen.regularisation, self.sweeps, seed, heard, *sides)
