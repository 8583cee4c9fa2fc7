"""Plausible run records for tests; nothing here was measured."""

from __future__ import annotations

from lib.records import (
    BackboneInfo,
    DataSetInfo,
    Environment,
    EpochEntry,
    FinalMetrics,
    HeadInfo,
    Recipe,
    RunRecord,
    run_key,
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
) -> RunRecord:
    """A record whose accuracy climbs from 0.7·quality to `quality` over its epochs."""
    data_set_info = DataSetInfo(
        name=data_set, domain=domain, task="classification", fingerprint=f"f-{data_set}", split_hash="s", classes=("a", "b"),
        n_images=100, n_train=64, n_validation=16, n_test=20, class_counts=(50, 50),
    )  # fmt: skip
    backbone_info = BackboneInfo(
        name=backbone, family="net", parameters=1000, embedding_width=8, input_size_px=32, flops=1e6,
        pretraining_data="ImageNet-1k", pretraining_method="supervised", weights_origin="weights_dir", weights_hash="w",
    )  # fmt: skip
    recipe = Recipe(epochs=epochs, batch_size=8, learning_rate=1e-3, weight_decay=0)
    curve = tuple(
        EpochEntry(epoch=e, train_loss=1 / e, test={"accuracy": quality * (0.7 + 0.3 * e / epochs)})
        for e in range(1, epochs + 1)
    )
    finished = status == "finished"
    return RunRecord(
        key=run_key(data_set_info, backbone_info, head, recipe, seed),
        status=status,  # type: ignore[arg-type]
        reason=None if finished else "as the test asks",
        data_set=data_set_info,
        backbone=backbone_info,
        head=HeadInfo(name=head, parameters=18),
        recipe=recipe,
        seed=seed,
        epochs=curve if finished else (),
        final=FinalMetrics(metrics={"accuracy": quality}, confusion=((9, 1), (3, 7))) if finished else None,
        environment=Environment(device="cpu", threads=1, versions={"torch": "0"}, project_version="0"),
    )
