"""How long an answer takes: milliseconds a batch, median and 95th percentile, after a warm-up."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lib.records import Latency
from lib.records.store import write_atomically
from lib.zoo.backbones import Backbone

REPEATS = 20
FEWEST_REPEATS = 3
BUDGET_S = 2.0
BATCH_SIZES = (1, 32)


@dataclass(frozen=True)
class BatchTiming:
    """Milliseconds of one batch size."""

    median_ms: float
    p95_ms: float


def measure(predict: Callable[[int], object], batch_sizes: tuple[int, int] = BATCH_SIZES) -> Latency:
    """Latency of `predict(batch_size)`: up to 20 repeats a batch size, at least 3, about 2 s for each."""
    small, large = (time_batch(lambda size=size: predict(size)) for size in batch_sizes)  # type: ignore[misc]
    return Latency(
        batch1_median_ms=small.median_ms,
        batch1_p95_ms=small.p95_ms,
        batch32_median_ms=large.median_ms,
        batch32_p95_ms=large.p95_ms,
    )


def time_batch(predict: Callable[[], object]) -> BatchTiming:
    """Times one call: once unmeasured, then until 20 repeats or the time budget are spent."""
    predict()
    times: list[float] = []
    begin = time.perf_counter()
    while len(times) < REPEATS and (len(times) < FEWEST_REPEATS or time.perf_counter() - begin < BUDGET_S):
        start = time.perf_counter()
        predict()
        times.append(1000 * (time.perf_counter() - start))
    return BatchTiming(float(np.median(times)), float(np.percentile(times, 95)))


def pair_latency(
    backbone: Backbone,
    predict_head: Callable[[npt.NDArray[np.float32]], object] | None,
    cache_dir: Path | None = None,
) -> Latency:
    """Latency of backbone and head together, preprocessing left out.

    The backbone is timed once per machine, device and precision (kept in `cache_dir`); the head on made-up features.
    Medians and 95th percentiles are added: exact for the median of independent steady times, an upper bound for p95.
    """
    first = backbone_latency(backbone, cache_dir)
    if predict_head is None:
        return first
    generator = np.random.default_rng(0)
    width = backbone.info.embedding_width
    features = {n: generator.standard_normal((n, width)).astype(np.float32) for n in BATCH_SIZES}
    second = measure(lambda size: predict_head(features[size]))
    return Latency(**{name: getattr(first, name) + getattr(second, name) for name in Latency.model_fields})


def image_latency(
    predict: Callable[[npt.NDArray[np.uint8]], object], height_px: int, width_px: int
) -> Latency:
    """Latency of `predict(images)` on made-up uint8 images (n, height_px, width_px, 3): for heads that answer with masks."""
    shape = (max(BATCH_SIZES), height_px, width_px, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    return measure(lambda size: predict(images[:size]))


def backbone_latency(backbone: Backbone, cache_dir: Path | None = None) -> Latency:
    """Latency of the backbone alone, on random images of its input size; from `cache_dir` where it was measured before."""
    path = cache_dir / "latency" / f"{_machine_key(backbone)}.json" if cache_dir else None
    kept = _read(path) if path else None
    if kept:
        return kept
    latency = measure(_random_images(backbone))
    if path:
        _keep(path, latency)
    return latency


def _random_images(backbone: Backbone) -> Callable[[int], object]:
    spec = backbone.input
    shape = (max(BATCH_SIZES), spec.height_px, spec.width_px, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    forward = getattr(backbone, "forward_batch", backbone.embed)
    return lambda size: forward(images[:size])


def _machine_key(backbone: Backbone) -> str:
    import hashlib
    import platform

    import torch

    device = getattr(backbone, "device", torch.device("cpu"))
    where = f"{platform.node()} {device} {torch.get_num_threads()} {torch.__version__}"
    return hashlib.sha256(f"{backbone.cache_key} {where}".encode()).hexdigest()[:24]


def _read(path: Path) -> Latency | None:
    try:
        return Latency.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def _keep(path: Path, latency: Latency) -> None:
    # A read-only cache costs only the next measurement.
    try:
        write_atomically(path, latency.model_dump_json())
    except OSError:
        return
