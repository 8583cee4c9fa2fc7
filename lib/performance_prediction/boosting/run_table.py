"""The table CatBoost learns from, as a file: one row a finished run, one column a feature, the quality last."""

from __future__ import annotations

import pandas as pd

from lib.performance_prediction.boosting.cells import pair_of
from lib.performance_prediction.boosting.evidence import Evidence
from lib.performance_prediction.boosting.features import Row, feature_frame, pair_facts


def run_table(evidence: Evidence) -> pd.DataFrame:
    """Features of each finished run whose data set has facts, with `data_set`, `family`, `backbone`, `seed` and `quality`."""
    runs = [run for run in evidence.runs if run.data_set.name in evidence.facts]
    pairs = pair_facts(evidence)
    frame = feature_frame([Row(evidence.facts[run.data_set.name], pairs[pair_of(run)]) for run in runs])
    names = pd.DataFrame(
        {
            "data_set": [run.data_set.name for run in runs],
            "family": [evidence.families[run.data_set.name] for run in runs],
            "backbone": [run.backbone.name for run in runs],
            "seed": [run.seed for run in runs],
        }
    )
    quality = pd.DataFrame({"quality": [evidence.quality(run) for run in runs]})
    return pd.concat([names, frame, quality], axis=1)
