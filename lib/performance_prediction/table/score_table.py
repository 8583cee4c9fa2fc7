"""The completion contract: a table of scores with holes, and what a completer says of each cell."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lib.registry import Registry

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

SMALLEST_SPREAD = 1e-4  # a spread of zero would claim certainty


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
    def observed(self) -> Bools:
        """Bool array (n_rows, n_columns): True where measured."""
        return np.isfinite(self.values)

    def hiding(self, cells: Bools) -> ScoreTable:
        """The same table with `cells` (bool, (n_rows, n_columns)) blanked."""
        return replace(self, values=np.where(cells, np.nan, self.values))

    def of_rows(self, places: Sequence[int] | Ints) -> ScoreTable:
        """The table of the rows at `places`, in that order."""
        features = None if self.row_features is None else self.row_features.iloc[places]
        names = tuple(self.rows[place] for place in places)
        return replace(self, rows=names, values=self.values[places], row_features=features)


@dataclass(frozen=True)
class Completion:
    """What a fitted completer says of every cell, measured ones included; float arrays (n_rows, n_columns).

    `mean` in [0, 1]; `spread` > 0, the model's own standard deviation, uncalibrated.
    """

    mean: Floats
    spread: Floats

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", np.clip(self.mean, 0.0, 1.0))
        object.__setattr__(self, "spread", np.maximum(self.spread, SMALLEST_SPREAD))


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

    def shortened(self) -> Completer:
        """The same model at less cost, for the many fits of a cross-validation."""
        return self


COMPLETERS: Registry[type[Completer]] = Registry("completer")
