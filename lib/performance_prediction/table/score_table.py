"""The completion contract: a table of scores with holes, and what a completer says of each cell."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from lib.registry import Registry

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ScoreTable:
    """Scores in [0, 1]; `values`: float array (n_rows, n_columns), NaN where not measured.

    `row_features` / `column_features`: one line a row / column, in the same order, text and numbers mixed, NaN allowed;
    None where nothing is known.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: Floats
    row_features: pd.DataFrame | None = None
    column_features: pd.DataFrame | None = None

    @property
    def observed(self) -> npt.NDArray[np.bool_]:
        """Bool array (n_rows, n_columns): True where measured."""
        return np.isfinite(self.values)

    def hiding(self, cells: npt.NDArray[np.bool_]) -> ScoreTable:
        """The same table with `cells` (bool, (n_rows, n_columns)) blanked."""
        return replace(self, values=np.where(cells, np.nan, self.values))


@dataclass(frozen=True)
class HeldOut:
    """What a completer said of measured cells while they were hidden from it: `mean` and `spread`, NaN for other cells."""

    mean: Floats
    spread: Floats


class Completion(ABC):
    """A fitted completer. `mean` and `spread`: float arrays (n_rows, n_columns) on the scale of the scores.

    `mean` is in [0, 1] and defined for every cell, measured ones included (there: what the model says);
    `spread` > 0 is the model's own standard deviation, uncalibrated. `held_out` is there when fitting went through
    out-of-fold predictions anyway, so that intervals need not make them again.
    """

    mean: Floats
    spread: Floats
    held_out: HeldOut | None = None

    @abstractmethod
    def fold_in(self, values: Floats, features: pd.DataFrame | None = None) -> tuple[Floats, Floats]:
        """Mean and spread of a new row, (n_columns,) each, from its few measured `values` (NaN elsewhere), without refitting."""


class Completer(ABC):
    """Fits a Completion. A completer is added by one decorated class: `@COMPLETERS.register("als")`.

    `COMPLETERS["als"]()` builds one; importing `lib.performance_prediction.completers` registers them all.
    """

    @abstractmethod
    def fit(self, table: ScoreTable, seed: int = 0) -> Completion:
        """Chooses every hyper-parameter from the observed cells alone; the same seed gives the same numbers."""

    def tuned(self, table: ScoreTable, seed: int = 0) -> Completer:
        """A completer whose hyper-parameters are fixed to what `table`'s observed cells favour: fits on parts of it save the search."""
        return self


COMPLETERS: Registry[type[Completer]] = Registry("completer")
