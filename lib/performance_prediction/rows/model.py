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
from lib.performance_prediction.rows.rehearsal import (
    Outcome,
    TrainingRows,
    best_of,
    mean_error,
    rehearse_all,
)
from lib.performance_prediction.rows.scenarios import Scenarios, Surprises
from lib.performance_prediction.table.conformal import RowConformal, calibrate_rows
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
    conformal: RowConformal
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
        if features is None:
            return blind
        return replace(_fit(table.columns, rows, features, seed), blind=blind)

    def predict(self, values: Floats, features: pd.DataFrame | None = None) -> RowPrediction:
        """The whole row from its measured `values` (n_columns,), NaN elsewhere, and its `features` (one line), with 90 % intervals.

        Raises MatrixError when the values are of another length or outside [0, 1].
        """
        self.check(values)
        if self._must_be_blind(features):
            return self.blind.predict(values)  # type: ignore[union-attr]
        scale, given = self.training.scale, np.isfinite(values)
        row = self._conditional(values, features)
        middle, spread = row.mean[0], (_row_scales(row, self.tail_weight)[:, None] * np.sqrt(row.variance))[0]
        half = self.conformal.multiplier(int(given.sum())) * spread
        around = (scale.backward(middle + spread) - scale.backward(middle - spread)) / 2
        return RowPrediction(
            mean=np.where(given, values, scale.backward(middle)),
            low=np.where(given, values, scale.backward(middle - half)),
            high=np.where(given, values, scale.backward(middle + half)),
            spread=np.where(given, 0.0, around),
        )

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

    def _conditional(self, values: Floats, features: pd.DataFrame | None) -> Conditional:
        given = np.flatnonzero(np.isfinite(values))
        prior = self.prior(features)
        surprise = self.training.scale.forward(values[given])[None] - prior[:, given]
        return self.shrinkage.condition(self.moments.part(given[None]), prior, surprise)


def _usable_rows(table: ScoreTable, groups: Sequence[str] | None) -> tuple[Floats, Ints, pd.DataFrame | None]:
    if groups is not None and len(groups) != len(table.rows):
        raise MatrixError(f"{len(groups)} groups for {len(table.rows)} rows: expected one group a row")
    own = np.unique(list(groups) if groups is not None else np.arange(len(table.rows)), return_inverse=True)[
        1
    ]
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
    best: tuple[float, TrainingRows] | None = None
    for scale in SCALES:
        values = scale.forward(filled.mean)
        prior = fit_row_prior(values, groups, None, seed).out_of_fold
        variance = _hole_variance(np.isnan(measured), filled, scale)
        rows = TrainingRows(measured, values, prior, groups, scale, variance)
        rehearsals = rehearse_all(rows, _CHOICE_SIZES, seed)
        error = mean_error(rehearsals, Shrinkage(rows.own_variance, 0.1, 0.02)) if rehearsals else 0.0
        if best is None or error < best[0]:
            best = error, rows
    assert best is not None
    return best[1]


def _fit(
    columns: tuple[str, ...], rows: TrainingRows, features: pd.DataFrame | None, seed: int
) -> NewRowModel:
    prior = fit_row_prior(rows.filled, rows.groups, features, seed)
    rows = replace(rows, prior=prior.out_of_fold)
    candidates = [Shrinkage(rows.own_variance, weight, noise) for weight in _WEIGHTS for noise in _NOISES]
    shrinkage = best_of(rehearse_all(rows, _CHOICE_SIZES, seed), candidates)
    outcomes = [rehearsal.outcome(shrinkage) for rehearsal in rehearse_all(rows, _CALIBRATION_SIZES, seed)]
    tail_weight = _best_tail_weight(outcomes)
    conformal = calibrate_rows(
        {outcome.known: _scores(outcome, tail_weight) for outcome in outcomes},
        {outcome.known: rows.groups[outcome.index].tolist() for outcome in outcomes},
    )
    return NewRowModel(
        columns=columns,
        training=rows,
        prior=prior,
        moments=ResidualMoments.of(rows.residuals),
        shrinkage=shrinkage,
        tail_weight=tail_weight,
        conformal=conformal,
        surprises=Surprises.of(rows, shrinkage),
    )


def _row_scales(row: Conditional, tail_weight: float) -> Floats:
    """Spread of each row (t,) relative to the usual one: the posterior scale of a multivariate t of `tail_weight` degrees of freedom."""
    return np.sqrt((tail_weight + row.distance) / (tail_weight + row.gain.shape[2]))


def _spreads(outcome: Outcome, tail_weight: float) -> Floats:
    return _row_scales(outcome.played, tail_weight)[:, None] * np.sqrt(outcome.played.variance)


def _scores(outcome: Outcome, tail_weight: float) -> list[Floats]:
    """|error| in spreads of the hidden cells, one array a row."""
    errors, spreads = np.abs(outcome.errors), _spreads(outcome, tail_weight)
    return [errors[t, hidden] / spreads[t, hidden] for t, hidden in enumerate(outcome.hidden)]


def _best_tail_weight(outcomes: list[Outcome]) -> float:
    """Degrees of freedom under which hidden cells are most likely, given each row's own surprise at its shown ones."""
    some = [outcome for outcome in outcomes if outcome.known]
    if not some:
        return _TAIL_WEIGHTS[-1]
    return max(_TAIL_WEIGHTS, key=lambda weight: float(np.mean([_log_likelihood(o, weight) for o in some])))


def _log_likelihood(outcome: Outcome, tail_weight: float) -> float:
    """Mean log density of the hidden cells under their normal distribution, up to a constant."""
    spreads, errors = _spreads(outcome, tail_weight)[outcome.hidden], outcome.errors[outcome.hidden]
    return float(np.mean(-np.log(spreads) - 0.5 * (errors / spreads) ** 2))
