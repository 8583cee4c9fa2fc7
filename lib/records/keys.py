"""The key of a run: same key, same numbers."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from lib.records.schema import SCHEMA_VERSION, BackboneInfo, DataSetInfo, Recipe, RunRecord


def run_key(
    data_set: DataSetInfo, backbone: BackboneInfo, head: str, head_version: int, recipe: Recipe, seed: int
) -> str:
    """Hash (16 hex digits) of what decides a run's result: same key, same numbers."""
    deciding: dict[str, Any] = {
        "fingerprint": data_set.fingerprint,
        "split": [data_set.split, data_set.split_hash],
        "task": data_set.task,
        "classes": data_set.classes,
        "backbone": [backbone.name, backbone.weights_hash, backbone.input_hash],
        "head": [head, head_version],
        "recipe": recipe.model_dump(mode="json"),
        "seed": seed,
        "schema": SCHEMA_VERSION,
    }
    return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()[:16]


def key_of(record: RunRecord) -> str:
    """The key that a record's content gives: another one than its own means it was changed by hand."""
    return run_key(
        record.data_set, record.backbone, record.head.name, record.head.version, record.recipe, record.seed
    )
