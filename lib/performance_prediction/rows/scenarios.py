"""Plausible whole rows: the surprises of past rows carried over to a new one, those of rows alike counting more."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lib.performance_prediction.rows.covariance import ResidualMoments, Shrinkage
from lib.performance_prediction.rows.rehearsal import TrainingRows
from lib.performance_prediction.table.scales import LOGIT
from lib.performance_prediction.table.score_table import Floats, Ints

# Both picked on oboe_error. Above 1 because surprises of different rows are only roughly alike, and more rows than the very
# nearest should have a say; and a past row's surprises are partly its own and will not come again: the best of many columns
# would be chosen for exactly those.
_ALIKENESS_TEMPERATURE = 4.0
_CAUTION = 0.5


@dataclass(frozen=True)
class Scenarios:
    """Plausible whole rows: `values` (n_scenarios, n_columns) in [0, 1], equal to what was measured; `weights` sum to 1.

    `replays`: the past rows behind the scenarios as they were, (n_scenarios, n_columns) scores.
    """

    values: Floats
    weights: Floats
    replays: Floats

    def cautious(self) -> Floats:
        """The values (n_scenarios, n_columns) drawn towards their mean, to choose columns by without falling for past luck."""
        return (1 - _CAUTION) * self.values + _CAUTION * (self.weights @ self.values)


@dataclass(frozen=True)
class Surprises:
    """Past rows' residuals on the logit scale, where a surprise carried to another level cannot run into 0 or 1; `past`: their scores."""

    moments: ResidualMoments
    shrinkage: Shrinkage
    past: Floats

    @classmethod
    def of(cls, rows: TrainingRows, shrinkage: Shrinkage) -> Surprises:
        """The surprises of training rows, whose priors may live on another scale; `shrinkage` as chosen there."""
        expected, found = (LOGIT.forward(rows.scale.backward(part)) for part in (rows.prior, rows.filled))
        residuals = found - expected
        ratio = (residuals**2).mean(0) / np.maximum((rows.residuals**2).mean(0), 1e-12)
        own = shrinkage.own_variance * np.clip(ratio, 0.1, 100.0)
        return cls(
            ResidualMoments.of(residuals),
            Shrinkage(own, shrinkage.weight, shrinkage.noise),
            rows.scale.backward(rows.filled),
        )

    def carry(
        self, expected: Floats, values: Floats, likely: Floats, left_out: Ints | None = None
    ) -> Scenarios:
        """Scenarios of a row `expected` (n_columns,) as scores, that agree with its measured `values` (NaN elsewhere).

        Matheron's rule: each past row's surprises, corrected by what conditioning says at the measured columns. `likely`:
        (n_rows,), how probable each past row is as a model for this one; multiplied by how alike the measured surprises are. Past rows `left_out` have no say.
        """
        given = np.flatnonzero(np.isfinite(values))
        part = self.moments.part(given[None], None if left_out is None else [left_out])
        prior = LOGIT.forward(expected)[None]
        residuals = self.moments.residuals
        surprise = LOGIT.forward(values[given])[None] - prior[:, given]
        row = self.shrinkage.condition(part, prior, surprise)
        carried = row.mean[0] + residuals - residuals[:, given] @ row.gain[0].T
        apart = self.shrinkage.distances(part, surprise - residuals[:, given])
        weights = likely * np.exp(-0.5 * (apart - apart.min()) / _ALIKENESS_TEMPERATURE)
        if left_out is not None:
            weights[left_out] = 0.0
        scores = np.where(np.isfinite(values), values, LOGIT.backward(carried))
        return Scenarios(scores, weights / weights.sum(), self.past)
