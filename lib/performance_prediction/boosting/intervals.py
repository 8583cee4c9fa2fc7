"""90 % intervals for a data set nobody has run, from what was got wrong on whole families left out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lib.performance_prediction.boosting.cells import Pair
from lib.performance_prediction.table.conformal import Floats, grouped_quantile

FEWEST_FAMILIES = 8
PRIOR_CELLS = 5.0  # cells that a pair's own error scale is pulled towards the overall one by
SMALLEST_SCALE = 1e-3


@dataclass(frozen=True)
class FamilyResiduals:
    """Absolute errors on left-out cells, with the family and the pair of each; `errors`: float array (n_cells,).

    Half an interval is the conformal quantile of errors over their pair's scale, families weighing alike, times that scale.
    """

    families: tuple[str, ...]
    pairs: tuple[Pair, ...]
    errors: Floats

    @property
    def supports_interval(self) -> bool:
        """False with so few families that their 0.9 quantile says nothing about another one."""
        return len(set(self.families)) >= FEWEST_FAMILIES

    def without(self, family: str) -> FamilyResiduals:
        """The residuals of all other families."""
        keep = [i for i, name in enumerate(self.families) if name != family]
        return FamilyResiduals(
            tuple(self.families[i] for i in keep), tuple(self.pairs[i] for i in keep), self.errors[keep]
        )

    def interval(self, predicted: Floats, pairs: Sequence[Pair]) -> tuple[Floats, Floats]:
        """Lower and upper ends, (n_pairs,) each, clipped to [0, 1]; [0, 1] itself with too few families."""
        if not self.supports_interval:
            return np.zeros(len(pairs)), np.ones(len(pairs))
        half_width = self._scaled_quantile * self.scales(pairs)
        return np.clip(predicted - half_width, 0, 1), np.clip(predicted + half_width, 0, 1)

    def scales(self, pairs: Sequence[Pair]) -> Floats:
        """Typical error of each pair, (n_pairs,): its own mean error, shrunk towards that of all cells."""
        return np.array([self._shrunk.get(pair, self._overall) for pair in pairs])

    @cached_property
    def _overall(self) -> float:
        return max(float(self.errors.mean()), SMALLEST_SCALE)

    @cached_property
    def _shrunk(self) -> dict[Pair, float]:
        own: dict[Pair, list[float]] = defaultdict(list)
        for pair, error in zip(self.pairs, self.errors.tolist(), strict=True):
            own[pair].append(error)
        return {
            pair: max((sum(e) + PRIOR_CELLS * self._overall) / (len(e) + PRIOR_CELLS), SMALLEST_SCALE)
            for pair, e in own.items()
        }

    @cached_property
    def _scaled_quantile(self) -> float:
        return grouped_quantile(self.errors / self.scales(self.pairs), self.families)
