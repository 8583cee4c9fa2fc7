"""A data set as a new row of the table data sets × pairs: NewRowModel, its mean led by meta-features, given the known cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lib.performance_prediction.boosting import contract
from lib.performance_prediction.boosting.cells import Pair
from lib.performance_prediction.boosting.contract import Floats, KnownCells
from lib.performance_prediction.boosting.evidence import Evidence
from lib.performance_prediction.rows.model import NewRowModel
from lib.performance_prediction.table.score_table import ScoreTable
from lib.records import DataSetFacts


@dataclass(frozen=True)
class FittedRowModel(contract.FittedSetPredictor):
    """`pairs`: the columns of the model; `features`: the meta-features it was fitted with; `level`: for pairs it does not know."""

    model: NewRowModel
    pairs: tuple[Pair, ...]
    features: tuple[str, ...]
    level: float

    def predict(self, facts: DataSetFacts, pairs: Sequence[Pair], known: KnownCells) -> Floats:
        mean = self.model.predict(self.row(known), self.line(facts)).mean
        said = dict(zip(self.pairs, mean.tolist(), strict=True))
        return np.array([said.get(pair, self.level) for pair in pairs])

    def row(self, known: KnownCells) -> Floats:
        """The known qualities as a row of the table, (n_pairs,), NaN elsewhere."""
        return np.array([known[pair].quality if pair in known else np.nan for pair in self.pairs])

    def line(self, facts: DataSetFacts) -> pd.DataFrame:
        """The data set's meta-features as one line, NaN where unknown."""
        return pd.DataFrame([facts.meta_features]).reindex(columns=list(self.features)).astype(float)


@contract.SET_PREDICTORS.register("row_model")
class RowModel(contract.SetPredictor):
    """Fits NewRowModel on the table of data sets × pairs, relatives as groups."""

    regimes = ("unseen", "probed")
    simplicity = 20

    def fit(self, evidence: Evidence, seed: int = 0) -> FittedRowModel:
        """Raises TooLittleDataError with fewer than two families."""
        names, columns, values = evidence.data_sets, evidence.pairs, evidence.values
        features = meta_features(evidence)
        table = ScoreTable(names, tuple(pair.label for pair in columns), values, features)
        model = NewRowModel.fit(table, [evidence.families[name] for name in names], seed)
        return FittedRowModel(model, columns, tuple(features.columns), float(np.nanmean(values)))


def meta_features(evidence: Evidence) -> pd.DataFrame:
    """One line a data set of the evidence, NaN where it has none."""
    names = list(evidence.data_sets)
    known = [evidence.facts[name].meta_features if name in evidence.facts else {} for name in names]
    return pd.DataFrame(known, index=names)
