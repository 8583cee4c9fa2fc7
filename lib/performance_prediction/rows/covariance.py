"""How the scores of one row move together: a shrunk covariance of columns, and the normal distribution of a row given some cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lib.performance_prediction.table.score_table import Floats, Ints


@dataclass(frozen=True)
class MomentsPart:
    """Second moments of row residuals, as far as t rows with k given cells each need them.

    `given`: (t, k) columns; `columns`: (t, n_columns, k) moments of all columns with the given ones; `variances`: (t, n_columns);
    `correlation`: (t,), the mean correlation of two columns.
    """

    given: Ints
    columns: Floats
    variances: Floats
    correlation: Floats


@dataclass(frozen=True)
class ResidualMoments:
    """`residuals`: (n_rows, n_columns); `products`: (n_columns, n_columns), the sum over rows of r rᵀ."""

    residuals: Floats
    products: Floats

    @classmethod
    def of(cls, residuals: Floats) -> ResidualMoments:
        """Sums the products once, so that every part is read off."""
        return cls(residuals, residuals.T @ residuals)

    def part(self, given: Ints, left_out: Sequence[Ints] | None = None) -> MomentsPart:
        """Moments for t rows with `given` (t, k) cells; `left_out`: for each, the training rows to take out first."""
        n = len(self.residuals)
        columns = self.products[:, given].transpose(1, 0, 2)
        squares = np.tile(np.diag(self.products), (len(given), 1))
        totals = np.full(len(given), self.products.sum())
        counts = np.full(len(given), float(n))
        for t, rows in enumerate(left_out or ()):
            out = self.residuals[rows]
            columns[t] -= out.T @ out[:, given[t]]
            squares[t] = np.maximum(squares[t] - (out**2).sum(0), 0.0)
            totals[t] -= float((out.sum(1) ** 2).sum())
            counts[t] = max(n - len(rows), 1)
        variances = squares / counts[:, None]
        correlation = _mean_correlation(variances, totals / counts)
        return MomentsPart(given, columns / counts[:, None, None], variances, correlation)


def _mean_correlation(variances: Floats, totals: Floats) -> Floats:
    """Mean correlation of two columns, in [0, 1], from their variances (t, n_columns) and the sums of all moments (t,)."""
    same = variances.sum(1)
    apart = np.sqrt(variances).sum(1) ** 2 - same
    return np.clip((totals - same) / np.maximum(apart, 1e-9 * same + 1e-12), 0.0, 1.0)


@dataclass(frozen=True)
class Conditional:
    """t rows given k cells of each. `mean`, `variance`: (t, n_columns), variance 0 at the given cells.

    `gain`: (t, n_columns, k), what one unit of surprise at each given cell adds to the mean; `distance`: (t,), squared
    Mahalanobis distance of the given cells from what was expected (0 without any).
    """

    mean: Floats
    variance: Floats
    gain: Floats
    distance: Floats


@dataclass(frozen=True)
class Shrinkage:
    """How moments become a covariance: shrunk towards one correlation of all columns, plus noise of each column's own.

    `weight` in [0, 1]: the share of the common correlation; `noise`: a share of each column's variance; `own_variance`:
    (n_columns,), what is not known of a column for another reason, e.g. because holes in it were filled.
    """

    own_variance: Floats
    weight: float
    noise: float

    def condition(self, part: MomentsPart, prior: Floats, surprise: Floats) -> Conditional:
        """t rows with `prior` means (t, n_columns) whose given cells lie `surprise` (t, k) above them (normal conditioning)."""
        diagonal = part.variances + self._own(part.variances)
        columns = self._columns(part)
        among = _rows_of(columns, part.given)
        gain = np.linalg.solve(among, columns.transpose(0, 2, 1)).transpose(0, 2, 1).astype(np.float64)
        variance = np.maximum(diagonal - (gain * columns).sum(2), 1e-3 * diagonal)
        np.put_along_axis(variance, part.given, 0.0, axis=1)
        mean = prior + np.einsum("tmk,tk->tm", gain, surprise)
        pulled = np.linalg.solve(among, surprise[:, :, None])[:, :, 0]
        return Conditional(mean, variance, gain, (surprise * pulled).sum(1))

    def distances(self, part: MomentsPart, surprises: Floats) -> Floats:
        """Squared Mahalanobis distance (n,) of each line of `surprises` (n, k) at the given cells of a part of one row."""
        among = _rows_of(self._columns(part), part.given)[0]
        return np.einsum("nk,kn->n", surprises, np.linalg.solve(among, surprises.T))

    def _columns(self, part: MomentsPart) -> Floats:
        deviations = np.sqrt(part.variances)
        chosen = np.take_along_axis(deviations, part.given, axis=1)
        common = part.correlation[:, None, None] * deviations[:, :, None] * chosen[:, None, :]
        columns = (1 - self.weight) * part.columns + self.weight * common
        diagonal = np.take_along_axis(part.variances + self._own(part.variances), part.given, axis=1)
        np.put_along_axis(columns, part.given[:, None, :], diagonal[:, None, :], axis=1)
        return columns

    def _own(self, variances: Floats) -> Floats:
        floor = 1e-3 * np.maximum(variances.mean(1, keepdims=True), 1e-8)
        return self.own_variance + self.noise * variances + floor


def _rows_of(columns: Floats, given: Ints) -> Floats:
    """The (t, k, k) part of `columns` (t, n_columns, k) that lies among the given cells."""
    return np.take_along_axis(columns, given[:, :, None], axis=1)
