"""A data set as a new row of the table data sets × pairs: a multivariate normal over the pairs, its mean led by meta-features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lib.performance_prediction.boosting.contract import (
    ROW_MODEL,
    SET_PREDICTORS,
    Facts,
    FittedSetPredictor,
    Floats,
    SetPredictor,
)
from lib.performance_prediction.boosting.data_set_table import data_set_matrix
from lib.performance_prediction.boosting.evidence import Evidence, Pair
from lib.performance_prediction.rows.model import NewRowModel
from lib.records import DataSetFacts


@dataclass(frozen=True)
class FittedRowModel(FittedSetPredictor):
    """`pairs`: the columns of the model; `features`: the meta-features it was fitted with; `level`: for pairs it does not know."""

    model: NewRowModel
    pairs: tuple[Pair, ...]
    features: tuple[str, ...]
    level: float

    def predict(self, facts: DataSetFacts, pairs: Sequence[Pair]) -> Floats:
        nothing = np.full(len(self.pairs), np.nan)
        mean = self.model.predict(nothing, self.line(facts)).mean
        known = dict(zip(self.pairs, mean.tolist(), strict=True))
        return np.array([known.get(pair, self.level) for pair in pairs])

    def line(self, facts: DataSetFacts) -> pd.DataFrame:
        """The data set's meta-features as one line, NaN where unknown."""
        return pd.DataFrame([facts.meta_features]).reindex(columns=list(self.features)).astype(float)


@SET_PREDICTORS.register(ROW_MODEL)
class RowModel(SetPredictor):
    """Fits NewRowModel on the table of data sets × pairs, relatives as groups."""

    def fit(self, evidence: Evidence, facts: Facts, seed: int = 0) -> FittedRowModel:
        """Raises TooLittleDataError with fewer than two families."""
        table, families = data_set_matrix(evidence, facts)
        features = table.row_features
        assert features is not None
        return FittedRowModel(
            NewRowModel.fit(table, families, seed),
            evidence.pairs,
            tuple(features.columns),
            float(np.nanmean(table.values)),
        )
