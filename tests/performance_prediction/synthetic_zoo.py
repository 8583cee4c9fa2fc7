"""Made-up run records and facts with a known structure, for tests only: no number here was measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lib.records import (
    BackboneInfo,
    DataSetFacts,
    DataSetInfo,
    Environment,
    EpochEntry,
    FinalMetrics,
    FoldResult,
    HeadInfo,
    Latency,
    Recipe,
    RecordStore,
    RunRecord,
    Timing,
    key_of,
)

BACKBONES = ("handcrafted", "resnet18", "resnet50", "tf_mobilenetv3_small_100", "vit_tiny_patch16_224")
HEADS = ("knn", "linear", "mlp", "naive")
DOMAINS = ("industrial", "medical", "aerophoto")
QUALITY_OF_BACKBONE = dict(zip(BACKBONES, (-0.15, 0.02, 0.06, 0.03, 0.04), strict=True))
QUALITY_OF_HEAD = dict(zip(HEADS, (-0.04, 0.03, 0.04, -0.25), strict=True))


def backbone_info(name: str, weights_origin: str = "weights_dir") -> BackboneInfo:
    """Invented facts of a backbone."""
    network = name != "handcrafted"
    size = 1_000_000 * (1 + BACKBONES.index(name) if name in BACKBONES else 7)
    return BackboneInfo(
        name=name,
        family=name.split("_")[0] if network else "handcrafted",
        parameters=size if network else 0,
        embedding_width=128 if network else 60,
        input_size_px=224,
        flops=1e9 if network else 0.0,
        pretraining_data="imagenet1k" if network else "none",
        pretraining_method="supervised" if network else "none",
        weights_origin=weights_origin if network else "none",  # type: ignore[arg-type]
        weights_hash="abc",
    )


def data_set_info(
    name: str,
    domain: str = "industrial",
    task: str = "classification",
    parent: str | None = None,
    procedural: bool = False,
    n_train: int = 400,
) -> DataSetInfo:
    """Invented facts of a data set."""
    return DataSetInfo(
        name=name,
        domain=domain,
        task=task,  # type: ignore[arg-type]
        fingerprint=f"print-{name}",
        split_hash="split",
        n_folds=2,
        classes=("a", "b", "c"),
        n_images=n_train + 200,
        n_train=n_train,
        n_validation=80,
        n_test=120,
        class_counts=(200, 200, 200),
        procedural=procedural,
        parent=parent,
        derivation="train10" if parent else None,
    )


def finished_run(
    data_set: DataSetInfo,
    backbone: str,
    head: str,
    quality: float,
    seed: int = 0,
    epochs: int = 10,
    weights_origin: str = "weights_dir",
    validation: float | None = None,
    folds: Sequence[float] = (),
    standard_error: float = 0.01,
) -> RunRecord:
    """A finished run whose quality rises to `quality` at the last epoch; `validation` (default: the same) on the validation
    parts, `folds`: the quality on each (default: two alike)."""
    metric = "accuracy" if data_set.task == "classification" else "dice"
    of_folds = tuple(folds) or (quality, quality)
    recipe = Recipe(
        epochs=epochs, batch_size=64, learning_rate=1e-3, weight_decay=1e-4, folds=tuple(range(len(of_folds)))
    )
    chosen_by = quality if validation is None else validation
    info = backbone_info(backbone, weights_origin)
    entries = tuple(
        EpochEntry(
            epoch=e, train_loss=1 / e, test={metric: quality * share}, validation={metric: chosen_by * share}
        )
        for e in range(1, epochs + 1)
        for share in [0.9 + 0.1 * e / epochs]
    )
    record = RunRecord(
        key="",
        status="finished",
        data_set=data_set,
        backbone=info,
        head=HeadInfo(name=head, parameters=1000),
        recipe=recipe,
        seed=seed,
        epochs=entries,
        folds=tuple(
            FoldResult(fold=k, n_train=data_set.n_train, n_validation=80, n_test=60, test={metric: on_fold})
            for k, on_fold in enumerate(of_folds)
        ),
        final=FinalMetrics(metrics={metric: quality}, standard_error={metric: standard_error}),
        timing=Timing(features_s=5.0, features_images=data_set.n_images, training_s=2.0 * len(of_folds)),
        latency=Latency(
            batch1_median_ms=1.0 + info.parameters / 1e6,
            batch1_p95_ms=9.0,
            batch32_median_ms=20.0,
            batch32_p95_ms=30.0,
        ),
        environment=Environment(device="cpu", threads=2, versions={}, project_version="0"),
    )
    return record.model_copy(update={"key": key_of(record)})


def incompatible_run(data_set: DataSetInfo, backbone: str, head: str, reason: str) -> RunRecord:
    """A record of a pair that cannot work."""
    run = finished_run(data_set, backbone, head, 0.5)
    return RunRecord.model_validate(
        {
            **run.model_dump(),
            "status": "incompatible",
            "reason": reason,
            "epochs": (),
            "folds": (),
            "final": None,
        }
    )


def zoo_runs(
    n_sets: int = 6,
    seeds: int = 2,
    hole_share: float = 0.0,
    noise: float = 0.005,
    seed: int = 0,
    derived: bool = False,
) -> tuple[list[RunRecord], dict[str, DataSetFacts]]:
    """Runs of every pair on `n_sets` invented sets whose level follows their brightness; a share of the pairs left out."""
    rng = np.random.default_rng(seed)
    runs: list[RunRecord] = []
    facts: dict[str, DataSetFacts] = {}
    for number in range(n_sets):
        brightness = float(rng.uniform(0, 1))
        level = 0.55 + 0.3 * brightness
        name, domain = f"set{number}", DOMAINS[number % len(DOMAINS)]
        for info, shift in _with_derived(data_set_info(name, domain), derived):
            facts[info.name] = facts_of(info, brightness)
            for backbone in BACKBONES:
                for head in HEADS:
                    if rng.uniform() < hole_share:
                        continue
                    quality = level + shift + QUALITY_OF_BACKBONE[backbone] + QUALITY_OF_HEAD[head]
                    runs += [
                        finished_run(
                            info, backbone, head, float(np.clip(quality + rng.normal(0, noise), 0, 1)), s
                        )
                        for s in range(seeds)
                    ]
    return runs, facts


def facts_of(info: DataSetInfo, brightness: float) -> DataSetFacts:
    """Facts whose brightness decides how hard the set is; the other meta-features say nothing."""
    return DataSetFacts(
        name=info.name,
        domain=info.domain,
        task=info.task,
        description=f"invented {info.domain} images",
        classes=info.classes,
        procedural=info.procedural,
        parent=info.parent,
        derivation=info.derivation,
        fingerprint=info.fingerprint,
        meta_features={
            "n_images": float(info.n_images),
            "n_train": float(info.n_train),
            "n_classes": float(len(info.classes)),
            "brightness_mean": brightness,
            "contrast_mean": 0.2,
        },
    )


def write_zoo(store: RecordStore, runs: Sequence[RunRecord], facts: dict[str, DataSetFacts]) -> None:
    """Writes runs and facts as the zoo would."""
    for run in runs:
        store.write(run)
    for entry in facts.values():
        store.write_facts(entry)


def _with_derived(info: DataSetInfo, derived: bool) -> list[tuple[DataSetInfo, float]]:
    if not derived:
        return [(info, 0.0)]
    small = data_set_info(f"{info.name}@train10", info.domain, parent=info.name, n_train=40)
    return [(info, 0.0), (small, -0.1)]
