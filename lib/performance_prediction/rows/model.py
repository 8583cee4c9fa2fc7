"""Rows nobody has measured: features say where a row lies, its few measured cells say the rest; whole rows are left out to choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lib.errors import MatrixError, TooLittleDataError
from lib.performance_prediction.als.biased_als import BiasedAls
from lib.performance_prediction.rows.covariance import Conditional, ResidualMoments, Shrinkage
from lib.performance_prediction.rows.prior import RowPrior, fit_row_prior
from lib.performance_prediction.rows.rehearsal import Rehearsal, TrainingRows, mean_error, rehearse_all
from lib.performance_prediction.rows.scenarios import Scenarios, Surprises
from lib.performance_prediction.table.conformal import fair_quantile, multiplier_at
from lib.performance_prediction.table.scales import SCALES, Scale
from lib.performance_prediction.table.score_table import Completion, Floats, Ints, ScoreTable

if TYPE_CHECKING:
    import pandas as pd

_CHOICE_SIZES = (1, 3, 5, 10)
_CALIBRATION_SIZES = (0, 1, 2, 3, 5, 7, 10, 15, 20, 30)
_WEIGHTS = (0.02, 0.1, 0.3, 0.6)
_NOISES = (0.003, 0.02, 0.1)
_TAIL_WEIGHTS = (1.0, 3.0, 10.0, 30.0, 1000.0)


@dataclass(frozen=True)
class RowPrediction:
    """A new row on the scale of the scores; all (n_columns,). Measured cells keep their value, with low = high = value, spread 0."""

    mean: Floats
    low: Floats
    high: Floats
    spread: Floats


@dataclass(frozen=True)
class NewRowModel:
    """A multivariate normal over the columns of a row, in a transformed scale, with conformal intervals by row.

    `tail_weight`: degrees of freedom with which a row's own surprise rescales its spread. `blind`: the same model without row
    features, used for a row whose features are unknown.
    """

    columns: tuple[str, ...]
    training: TrainingRows
    prior: RowPrior
    moments: ResidualMoments
    shrinkage: Shrinkage
    tail_weight: float
    multipliers: dict[int, float]
    surprises: Surprises
    blind: NewRowModel | None = None

    @classmethod
    def fit(cls, table: ScoreTable, groups: Sequence[str] | None = None, seed: int = 0) -> NewRowModel:
        """Learns from the rows of `table`; `groups` (one a row) names rows that are relatives and never vouch for each other.

        Every choice is made by leaving groups of rows out. Raises TooLittleDataError when fewer than two groups have a value.
        """
        measured, own, features = _usable_rows(table, groups)
        rows = _on_best_scale(measured, filled_holes(measured, seed), own, seed)
        blind = _fit(table.columns, rows, None, seed)
        return blind if features is None else replace(_fit(table.columns, rows, features, seed), blind=blind)

    def predict(self, values: Floats, features: pd.DataFrame | None = None) -> RowPrediction:
        """The whole row from its measured `values` (n_columns,), NaN elsewhere, and its `features` (one line), with 90 % intervals.

        Raises MatrixError when the values are of another length or outside [0, 1].
        """
        self.check(values)
        if self._must_be_blind(features):
            return self.blind.predict(values)  # type: ignore[union-attr]
        scale, given = self.training.scale, np.isfinite(values)
        shown, prior = np.flatnonzero(given), self.prior(features)
        surprise = scale.forward(values[shown])[None] - prior[:, shown]
        row = self.shrinkage.condition(self.moments.part(shown[None]), prior, surprise)
        middle, spread = row.mean[0], _spreads(row, self.tail_weight)[0]
        half = multiplier_at(self.multipliers, len(shown)) * spread
        around = (scale.backward(middle + spread) - scale.backward(middle - spread)) / 2
        ends = (middle, middle - half, middle + half)
        mean, low, high = (np.where(given, values, scale.backward(end)) for end in ends)
        return RowPrediction(mean, low, high, np.where(given, 0.0, around))

    def scenarios(self, values: Floats, features: pd.DataFrame | None = None) -> Scenarios:
        """Plausible whole rows that agree with `values`; past rows whose features or measured cells are alike weigh more."""
        self.check(values)
        if self._must_be_blind(features):
            return self.blind.scenarios(values)  # type: ignore[union-attr]
        expected = self.training.scale.backward(self.prior(features)[0])
        return self.surprises.carry(expected, values, self.prior.likely_rows(features))

    def scenarios_as(self, row: int, values: Floats) -> Scenarios:
        """The same for a training row of which `values` are known, as if neither it nor its relatives were in the table."""
        left_out = self.training.relatives(row)
        expected = self.training.scale.backward(self.prior.out_of_fold[row])
        return self.surprises.carry(expected, values, self.prior.likely_as(row), left_out)

    def check(self, values: Floats) -> None:
        """Raises MatrixError when `values` cannot be a row of the table this model learnt from."""
        if values.shape != (len(self.columns),):
            raise MatrixError(
                f"a new row needs {len(self.columns)} values, one a column (NaN where not measured); found {values.size}"
            )
        outside = np.flatnonzero((values < 0) | (values > 1) | np.isinf(values))
        if len(outside):
            raise MatrixError(
                f"column '{self.columns[outside[0]]}': the score {values[outside[0]]:g} of the new row is outside [0, 1]"
            )

    def _must_be_blind(self, features: pd.DataFrame | None) -> bool:
        return self.blind is not None and (features is None or bool(features.isna().all(axis=None)))


def _usable_rows(table: ScoreTable, groups: Sequence[str] | None) -> tuple[Floats, Ints, pd.DataFrame | None]:
    if groups is not None and len(groups) != len(table.rows):
        raise MatrixError(f"{len(groups)} groups for {len(table.rows)} rows: expected one group a row")
    names = list(groups) if groups is not None else np.arange(len(table.rows))
    own = np.unique(names, return_inverse=True)[1]
    some = table.observed.any(axis=1)
    if len(np.unique(own[some])) < 2:
        raise TooLittleDataError(
            "a new row can only be predicted from at least two other rows (of different groups) with a score; "
            f"the table has {len(np.unique(own[some]))}"
        )
    features = table.row_features
    return table.values[some], own[some], None if features is None else features.loc[some]


def filled_holes(measured: Floats, seed: int) -> Completion:
    """Scores (n_rows, n_columns) with holes as whole rows, by ALS, and how unsure each filled cell is."""
    if np.isfinite(measured).all():
        return Completion(measured, np.zeros_like(measured))
    rows, columns = (tuple(map(str, range(size))) for size in measured.shape)
    completion = BiasedAls().fit(ScoreTable(rows, columns, measured), seed)
    return replace(completion, mean=np.where(np.isfinite(measured), measured, completion.mean))


def _hole_variance(holes: Floats, filled: Completion, scale: Scale) -> Floats:
    """Mean variance of each column's filled cells on the scale, (n_columns,); measured ones count as exact."""
    ends = (scale.forward(filled.mean + sign * filled.spread) for sign in (-1, 1))
    return np.where(holes, np.square(np.subtract(*ends) / 2), 0.0).mean(0)


def _on_best_scale(measured: Floats, filled: Completion, groups: Ints, seed: int) -> TrainingRows:
    """The rows on the scale on which rows without features are predicted best; features move the mean, hardly the shape."""

    def error(rows: TrainingRows) -> float:
        return mean_error(rehearse_all(rows, _CHOICE_SIZES, seed), Shrinkage(rows.own_variance, 0.1, 0.02))

    tried = []
    for scale in SCALES:
        values = scale.forward(filled.mean)
        prior = fit_row_prior(values, groups, None, seed).out_of_fold
        variance = _hole_variance(np.isnan(measured), filled, scale)
        tried.append(TrainingRows(measured, values, prior, groups, scale, variance))
    return min(tried, key=error)


def _fit(
    columns: tuple[str, ...], rows: TrainingRows, features: pd.DataFrame | None, seed: int
) -> NewRowModel:
    prior = fit_row_prior(rows.filled, rows.groups, features, seed)
    rows = replace(rows, prior=prior.out_of_fold)
    candidates = [Shrinkage(rows.own_variance, weight, noise) for weight in _WEIGHTS for noise in _NOISES]
    rehearsals = rehearse_all(rows, _CHOICE_SIZES, seed)
    shrinkage = min(candidates, key=lambda candidate: mean_error(rehearsals, candidate))
    played = [(r, r.play(shrinkage)) for r in rehearse_all(rows, _CALIBRATION_SIZES, seed)]
    tail_weight = _best_tail_weight(played)
    multipliers = {
        row.gain.shape[2]: fair_quantile(_scores(r, row, tail_weight), rows.groups[r.index].tolist())
        for r, row in played
    }
    moments, surprises = ResidualMoments.of(rows.residuals), Surprises.of(rows, shrinkage)
    return NewRowModel(columns, rows, prior, moments, shrinkage, tail_weight, multipliers, surprises)


def _spreads(row: Conditional, tail_weight: float) -> Floats:
    """Spreads (t, n_columns), scaled by each row's surprise: a multivariate t's posterior of `tail_weight` degrees of freedom."""
    scale = np.sqrt((tail_weight + row.distance) / (tail_weight + row.gain.shape[2]))
    return scale[:, None] * np.sqrt(row.variance)


def _errors(rehearsal: Rehearsal, row: Conditional) -> Floats:
    return rehearsal.rows.filled[rehearsal.index] - row.mean


def _scores(rehearsal: Rehearsal, row: Conditional, tail_weight: float) -> list[Floats]:
    """|error| in spreads of the hidden cells, one array a row."""
    errors, spreads = np.abs(_errors(rehearsal, row)), _spreads(row, tail_weight)
    return [errors[t, hidden] / spreads[t, hidden] for t, hidden in enumerate(rehearsal.hidden)]


def _best_tail_weight(played: list[tuple[Rehearsal, Conditional]]) -> float:
    """Degrees of freedom under which hidden cells are most likely, given each row's own surprise at its shown ones."""
    some = [(rehearsal, row) for rehearsal, row in played if row.gain.shape[2]]
    if not some:
        return _TAIL_WEIGHTS[-1]
    return max(_TAIL_WEIGHTS, key=lambda weight: float(np.mean([_log_likelihood(*p, weight) for p in some])))


def _log_likelihood(rehearsal: Rehearsal, row: Conditional, tail_weight: float) -> float:
    """Mean log density of the hidden cells under their normal distribution, up to a constant."""
    spreads, errors = (a[rehearsal.hidden] for a in (_spreads(row, tail_weight), _errors(rehearsal, row)))
    return float(np.mean(-np.log(spreads) - 0.5 * (errors / spreads) ** 2))
