"""Training rows played as new ones: their relatives left out, a few of their cells shown, the rest judged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lib.performance_prediction.rows.covariance import Conditional, MomentsPart, ResidualMoments, Shrinkage
from lib.performance_prediction.table.scales import Scale
from lib.performance_prediction.table.score_table import Bools, Floats, Ints

_MOST_ROWS = 120
_REVEALS = 3
_MOST_NUMBERS = 8_000_000


@dataclass(frozen=True)
class TrainingRows:
    """What a model learns from, rows without any value left out.

    `measured`: (n_rows, n_columns) scores, NaN where not measured; `filled`: the same on `scale`, holes filled; `prior`: what was
    expected of each row from rows that are no relatives, on `scale`; `groups`: (n_rows,), relatives share a number;
    `own_variance`: (n_columns,), mean variance of the filled cells.
    """

    measured: Floats
    filled: Floats
    prior: Floats
    groups: Ints
    scale: Scale
    own_variance: Floats

    @property
    def residuals(self) -> Floats:
        """Surprises (n_rows, n_columns) on the scale."""
        return self.filled - self.prior

    def relatives(self, row: int) -> Ints:
        """Positions of the rows of the same group, the row itself among them."""
        return np.flatnonzero(self.groups == self.groups[row])


@dataclass(frozen=True)
class Rehearsal:
    """t training rows as if new, `part.given` (t, k) of their cells shown. `hidden`: bool (t, n_columns), the cells to judge."""

    rows: TrainingRows
    index: Ints
    part: MomentsPart
    hidden: Bools

    def play(self, shrinkage: Shrinkage) -> Conditional:
        """What the model says of each row from the cells shown."""
        prior = self.rows.prior[self.index]
        surprise = np.take_along_axis(self.rows.filled[self.index] - prior, self.part.given, axis=1)
        return shrinkage.condition(self.part, prior, surprise)

    def absolute_error(self, shrinkage: Shrinkage) -> float:
        """Mean absolute error on the scale of the scores, every row weighing the same."""
        predicted = self.rows.scale.backward(self.play(shrinkage).mean)
        errors = np.where(self.hidden, np.abs(predicted - self.rows.measured[self.index]), 0.0)
        return float((errors.sum(1) / self.hidden.sum(1)).mean())


def rehearse(rows: TrainingRows, known: int, seed: int) -> Rehearsal | None:
    """`known` random measured cells shown of each training row (of some, where there are many), at least one cell left to judge.

    None when no row has more than `known` measured cells.
    """
    rng = np.random.default_rng([seed, known])
    observed = np.isfinite(rows.measured)
    enough = rng.permutation(np.flatnonzero(observed.sum(1) > known))
    most = max(10, min(_MOST_ROWS, _MOST_NUMBERS // (_REVEALS * observed.shape[1] * max(known, 1))))
    index = np.repeat(np.sort(enough[:most]), _REVEALS if known else 1)
    if len(index) == 0:
        return None
    given = np.array([np.sort(rng.permutation(np.flatnonzero(observed[row]))[:known]) for row in index])
    given = given.reshape(len(index), known).astype(np.int64)
    hidden = observed[index]
    np.put_along_axis(hidden, given, False, axis=1)
    part = ResidualMoments.of(rows.residuals).part(given, [rows.relatives(int(row)) for row in index])
    return Rehearsal(rows, index, part, hidden)


def rehearse_all(rows: TrainingRows, sizes: tuple[int, ...], seed: int) -> list[Rehearsal]:
    """One rehearsal for each number of shown cells that some row can afford."""
    return [rehearsal for known in sizes if (rehearsal := rehearse(rows, known, seed)) is not None]


def mean_error(rehearsals: list[Rehearsal], shrinkage: Shrinkage) -> float:
    """Mean absolute error over the rehearsals, every number of shown cells weighing the same; 0 without any."""
    return float(np.mean([r.absolute_error(shrinkage) for r in rehearsals])) if rehearsals else 0.0
