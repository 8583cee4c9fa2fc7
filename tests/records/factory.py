"""Plausible run records for tests; nothing here was measured."""

from __future__ import annotations

from typing import Any

from lib.records import (
    BackboneInfo,
    DataSetInfo,
    Environment,
    EpochEntry,
    FinalMetrics,
    FoldResult,
    HeadInfo,
    Latency,
    Recipe,
    RunRecord,
    Timing,
    key_of,
)


def make_record(
    data_set: str = "strips",
    backbone: str = "net_a",
    head: str = "linear",
    quality: float = 0.8,
    seed: int = 0,
    status: str = "finished",
    epochs: int = 10,
    domain: str = "industrial",
    validation: float | None = None,
    folds: int = 2,
    metric: str = "accuracy",
    standard_error: float = 0.02,
    **changes: Any,
) -> RunRecord:
    """A record whose metric climbs from 0.7·quality to `quality` over its epochs, on the test and the validation part.

    `validation`: its last value on the validation part (default: the test part's). `folds`: 0 for the set's own split.
    `changes`: fields of the record, its parts as dicts of what differs, e.g. `backbone_info={"weights_origin": "random"}`.
    """
    aside = quality if validation is None else validation
    task = "segmentation" if metric in ("dice", "defect_dice", "miou") else "classification"
    parts: dict[str, Any] = {
        "data_set": DataSetInfo(
            name=data_set, domain=domain, task=task, fingerprint=f"f-{data_set}", split_hash="s", classes=("a", "b"),
            split="folds" if folds else "own", n_folds=max(folds, 1), n_images=100, n_train=64, n_validation=16, n_test=20, class_counts=(50, 50),
        ),
        "backbone": BackboneInfo(
            name=backbone, family="net", parameters=1000, embedding_width=8, input_size_px=32, flops=1e6,
            pretraining_data="ImageNet-1k", pretraining_method="supervised", weights_origin="weights_dir", weights_hash="w",
        ),
        "head": HeadInfo(name=head, parameters=18),
        "recipe": Recipe(epochs=epochs, batch_size=8, learning_rate=1e-3, weight_decay=0, folds=tuple(range(max(folds, 1)))),
        "environment": Environment(device="cpu", threads=1, versions={"torch": "0"}, project_version="0"),
    }  # fmt: skip
    for name in parts:
        parts[name] = parts[name].model_copy(update=changes.pop(f"{name}_info", {}))
    values = {
        "status": status,
        "reason": None if status == "finished" else "as the test asks",
        "seed": seed,
        "key": "",
        **(_measured(metric, quality, aside, epochs, folds, standard_error) if status == "finished" else {}),
        **parts,
        **changes,
    }
    record = RunRecord(**values)
    return record.model_copy(update={"key": key_of(record)})


def _measured(
    metric: str, quality: float, validation: float, epochs: int, folds: int, standard_error: float
) -> dict[str, Any]:
    climb = [0.7 + 0.3 * e / epochs for e in range(1, epochs + 1)]
    return {
        "epochs": tuple(
            EpochEntry(
                epoch=e,
                train_loss=1 / e,
                validation={metric: validation * part},
                test={metric: quality * part},
            )
            for e, part in enumerate(climb, start=1)
        ),
        "folds": tuple(
            FoldResult(
                fold=k,
                n_train=64,
                n_validation=16,
                n_test=20,
                validation={metric: validation},
                test={metric: quality},
            )
            for k in range(max(folds, 1))
        ),
        "final": FinalMetrics(
            metrics={metric: quality}, standard_error={metric: standard_error}, confusion=((9, 1), (3, 7))
        ),
        "timing": Timing(features_s=2.0, features_images=100, training_s=1.0),
        "latency": Latency(batch1_median_ms=2, batch1_p95_ms=3, batch32_median_ms=4, batch32_p95_ms=5),
    }
