"""The table CatBoost learns from, as a file: one row a finished run, one column a feature, the quality last."""

from __future__ import annotations

import pandas as pd

from lib.performance_prediction.boosting.contract import Facts
from lib.performance_prediction.boosting.evidence import Evidence, pair_of
from lib.performance_prediction.boosting.features import feature_frame, pair_facts


def run_table(evidence: Evidence, facts: Facts) -> pd.DataFrame:
    """Features of each finished run whose data set has facts, with `data_set`, `family`, `backbone`, `seed` and `quality`."""
    runs = [run for run in evidence.runs if run.data_set.name in facts]
    known = pair_facts(evidence)
    frame = feature_frame([(facts[run.data_set.name], known[pair_of(run)]) for run in runs])
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
