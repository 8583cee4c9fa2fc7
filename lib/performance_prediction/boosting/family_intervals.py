"""90 % intervals for a data set nobody has run, from what was got wrong on whole families left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lib.performance_prediction.evidence import Pair

Floats = npt.NDArray[np.float64]

COVERAGE = 0.9
FEWEST_FAMILIES = 8
PRIOR_CELLS = 5.0  # cells that a pair's own error scale is pulled towards the overall one by
SMALLEST_SCALE = 1e-3


@dataclass(frozen=True)
class FamilyResiduals:
    """Absolute errors on left-out cells, with the family and the pair of each; `errors`: float array (n_cells,).

    The interval is pooled hierarchical conformal prediction (Dunn, Wasserman & Ramdas 2023; Lee, Barber & Willett 2023):
    families, not cells, are exchangeable, so every family weighs the same, shared by its cells; the 0.9 quantile of errors
    over their pair's scale is the half width. Without the new family's mass of 1/(families + 1) at infinity: among ten
    families that alone would ask for the 99 % quantile, and widths half as large again.
    """

    families: tuple[str, ...]
    pairs: tuple[Pair, ...]
    errors: Floats

    @property
    def n_families(self) -> int:
        """How many families it was measured on."""
        return len(set(self.families))

    @property
    def supports_interval(self) -> bool:
        """False with so few families that their 0.9 quantile says nothing about another one."""
        return self.n_families >= FEWEST_FAMILIES

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
        scales = self.scales(self.pairs)
        half_width = self._quantile(self.errors / scales) * self.scales(pairs)
        return np.clip(predicted - half_width, 0, 1), np.clip(predicted + half_width, 0, 1)

    def scales(self, pairs: Sequence[Pair]) -> Floats:
        """Typical error of each pair, (n_pairs,): its own mean error, shrunk towards that of all cells."""
        overall = float(self.errors.mean())
        totals: Counter[Pair] = Counter()
        counts: Counter[Pair] = Counter()
        for pair, error in zip(self.pairs, self.errors.tolist(), strict=True):
            totals[pair] += error  # type: ignore[assignment]
            counts[pair] += 1
        shrunk = [(totals[p] + PRIOR_CELLS * overall) / (counts[p] + PRIOR_CELLS) for p in pairs]
        return np.maximum(shrunk, SMALLEST_SCALE)

    def _quantile(self, scores: Floats) -> float:
        sizes = Counter(self.families)
        n_families = len(sizes)
        weights = np.array([1 / (n_families * sizes[family]) for family in self.families])
        order = np.argsort(scores)
        reached = np.cumsum(weights[order])
        position = int(np.searchsorted(reached, COVERAGE - 1e-12))
        return float(scores[order][min(position, len(scores) - 1)])
