"""Records → score table for prediction: rows data sets, columns pairs."""

from __future__ import annotations

import numpy as np

from lib.performance_prediction.boosting.evidence import Evidence
from lib.performance_prediction.table.score_table import Floats, ScoreTable


def set_values(evidence: Evidence) -> Floats:
    """Qualities (n_data_sets, n_pairs), NaN where not measured, in the order of the evidence's data sets and pairs."""
    rows = {name: i for i, name in enumerate(evidence.data_sets)}
    columns = {pair: j for j, pair in enumerate(evidence.pairs)}
    values = np.full((len(rows), len(columns)), np.nan)
    for cell in evidence.cells:
        values[rows[cell.data_set], columns[cell.pair]] = cell.quality
    return values


def set_table(evidence: Evidence) -> tuple[ScoreTable, tuple[str, ...]]:
    """The same as a score table whose row features are the meta-features (NaN where a set has none), and each row's family."""
    import pandas as pd  # half a second that the quick predictors do without

    names = evidence.data_sets
    features = [evidence.facts[name].meta_features if name in evidence.facts else {} for name in names]
    table = ScoreTable(
        rows=names,
        columns=tuple(pair.label for pair in evidence.pairs),
        values=set_values(evidence),
        row_features=pd.DataFrame(features, index=list(names)),
    )
    return table, tuple(evidence.families[name] for name in names)
