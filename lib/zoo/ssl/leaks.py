"""No test image may have been seen: which folds a tuned backbone cannot be run on, found by the images' bytes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lib.config import Settings
from lib.datasets.base import DataSet
from lib.datasets.pictures import measure_pictures
from lib.records.schema import Split
from lib.zoo.tuned import is_tuned

SEEN = "seen"


def digests_of(data_set: DataSet, settings: Settings) -> tuple[str, ...]:
    """The digest of each file's bytes, as they were remembered when the set was loaded."""
    return measure_pictures(data_set.root, data_set.files, settings.cache_dir).digests


def leak(
    backbone: str, data_set: DataSet, split: Split, folds: Sequence[int], settings: Settings
) -> str | None:
    """Why a backbone cannot be tested on these folds of the set: its tuning saw images that are tested there; None where it did
    not, or was transductive on purpose. Of a relative whose files are others (patches of the set) nothing can be told, and it is
    refused as a whole."""
    if not is_tuned(backbone):
        return None
    from safetensors import safe_open

    from lib.zoo.weights import find_weights

    weights = find_weights(backbone, settings)
    assert weights.card.tuned is not None and weights.path is not None
    tuning = weights.card.tuned.tuning
    if tuning.transductive:
        return None
    with safe_open(weights.path, framework="np") as file:
        seen = set((file.metadata() or {}).get(SEEN, "").split())
    tested = [np.flatnonzero(data_set.divisions(split)[fold] == "test") for fold in folds]
    digests = digests_of(data_set, settings)
    wrong = [fold for fold, rows in zip(folds, tested, strict=True) if any(digests[i] in seen for i in rows)]
    if wrong:
        which = ", ".join(str(fold + 1) for fold in wrong)
        return (
            f"its tuning saw images that fold {which} tests: run it with --folds 1 --split {tuning.split}, "
            "or tune it with --transductive"
        )
    if tuning.family in _relatives(data_set, settings) and not seen.intersection(digests):
        return f"it was tuned on {tuning.data_set}, a relative: which images show the same cannot be told; tune it on {data_set.name}"
    return None


def _relatives(data_set: DataSet, settings: Settings) -> set[str]:
    family = data_set.parent or data_set.name
    return {family, *(name for group in settings.related_data_sets if family in group for name in group)}
