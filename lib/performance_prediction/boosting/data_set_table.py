"""Records → score table for prediction: rows data sets, columns pairs, with what is known of both."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from lib.performance_prediction.boosting.evidence import Evidence, Pair
from lib.performance_prediction.table.score_table import ScoreTable
from lib.records import DataSetFacts


def data_set_matrix(
    evidence: Evidence, facts: Mapping[str, DataSetFacts]
) -> tuple[ScoreTable, tuple[str, ...]]:
    """Score table (n_data_sets, n_pairs) with NaN where not measured, and each row's family, in the order of the rows.

    Row features are the meta-features of `facts` (NaN where a set has none), column features describe backbone and head.
    """
    names, pairs = evidence.data_sets, evidence.pairs
    values = np.full((len(names), len(pairs)), np.nan)
    for cell in evidence.cells:
        values[names.index(cell.data_set), pairs.index(cell.pair)] = cell.quality
    table = ScoreTable(
        rows=names,
        columns=tuple(pair.label for pair in pairs),
        values=values,
        row_features=pd.DataFrame(
            [facts[name].meta_features if name in facts else {} for name in names], index=list(names)
        ),
        column_features=_pair_features(evidence, pairs),
    )
    return table, tuple(evidence.families[name] for name in names)


def _pair_features(evidence: Evidence, pairs: tuple[Pair, ...]) -> pd.DataFrame:
    backbones = {run.backbone.name: run.backbone for run in evidence.runs}
    rows = []
    for pair in pairs:
        backbone = backbones[pair.backbone]
        rows.append(
            {
                "backbone": backbone.name,
                "head": pair.head,
                "family": backbone.family,
                "parameters_log10": float(np.log10(1 + backbone.parameters)),
                "flops_log10": float(np.log10(1 + backbone.flops)),
                "embedding_width": float(backbone.embedding_width),
                "pretraining_data": backbone.pretraining_data,
                "pretraining_method": backbone.pretraining_method,
            }
        )
    return pd.DataFrame(rows, index=[pair.label for pair in pairs])
