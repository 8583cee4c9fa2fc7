"""How long an answer takes: milliseconds a batch, repeated until the machine is quiet and the medians agree."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lib.files import write_atomically
from lib.records import Latency
from lib.zoo.base import Backbone
from lib.zoo.devices import busy_cpu_s, cpu_count, one_thread

BATCH_SIZES = (1, 32)
ROUND_S = 0.1
AGREEING_ROUNDS = 3
LARGEST_SPREAD = 0.1  # of medians that agree: highest over lowest, less 1
MOST_OF_OTHERS = 0.15  # share of all cores that other processes may use on a quiet machine
BUDGET_S = 10.0  # for each batch size of a network
HEAD_BUDGET_S = 1.0
RETRY_AFTER_S = 300.0
NOT_QUIET = "latency not measured: the machine was never quiet"

_missed_at: dict[str, float] = {}


@dataclass(frozen=True)
class BatchTiming:
    """Milliseconds of one batch size."""

    median_ms: float
    p95_ms: float


def measure(
    predict: Callable[[int], object], budget_s: float = BUDGET_S, most_of_others: float | None = None
) -> Latency | None:
    """Latency of `predict(batch_size)`; None where the machine was never quiet in `budget_s` seconds for each size."""
    small, large = (
        time_batch(lambda size=size: predict(size), budget_s, most_of_others)  # type: ignore[misc]
        for size in BATCH_SIZES
    )
    if small is None or large is None:
        return None
    return Latency(
        batch1_median_ms=small.median_ms,
        batch1_p95_ms=small.p95_ms,
        batch32_median_ms=large.median_ms,
        batch32_p95_ms=large.p95_ms,
    )


def time_batch(
    predict: Callable[[], object], budget_s: float = BUDGET_S, most_of_others: float | None = None
) -> BatchTiming | None:
    """Times one call: once unmeasured, then round after round until the three fastest of the quiet ones agree.

    A round is what fits into ROUND_S, one call at least. Rounds agree where the highest of their medians is at most
    LARGEST_SPREAD above the lowest, which is taken: a load adds to a time and never takes from it.
    """
    predict()
    quiet: list[_Round] = []
    n_rounds, begin = 0, time.perf_counter()
    while n_rounds < AGREEING_ROUNDS or time.perf_counter() - begin < budget_s:
        n_rounds += 1
        one = _round(predict)
        if one.others_share <= (MOST_OF_OTHERS if most_of_others is None else most_of_others):
            quiet.append(one)
        fastest = sorted(quiet, key=lambda each: each.median_ms)[:AGREEING_ROUNDS]
        if _agree(fastest):
            times = [ms for each in fastest for ms in each.times_ms]
            return BatchTiming(fastest[0].median_ms, float(np.percentile(times, 95)))
    return None


@dataclass(frozen=True)
class _Round:
    """Calls one after the other. `others_share`: of all cores, what other processes took meanwhile."""

    times_ms: tuple[float, ...]
    others_share: float

    @property
    def median_ms(self) -> float:
        return float(np.median(self.times_ms))


def _round(predict: Callable[[], object]) -> _Round:
    times: list[float] = []
    busy, own, begin = busy_cpu_s(), time.process_time(), time.perf_counter()
    now = begin
    while not times or now - begin < ROUND_S:
        predict()
        after = time.perf_counter()
        times.append(1000 * (after - now))
        now = after
    others = busy_cpu_s() - busy - (time.process_time() - own)
    return _Round(tuple(times), others / max((now - begin) * cpu_count(), 1e-9))


def _agree(rounds: list[_Round]) -> bool:
    medians = [one.median_ms for one in rounds]
    return len(rounds) == AGREEING_ROUNDS and max(medians) <= (1 + LARGEST_SPREAD) * min(medians)


def pair_latency(
    backbone: Backbone,
    predict_head: Callable[[npt.NDArray[np.float32]], object] | None,
    cache_dir: Path | None = None,
) -> Latency | None:
    """Latency of backbone and head together, preprocessing left out; None where the machine was never quiet.

    The backbone's is `backbone_latency`, the head is timed on made-up features. Medians and 95th percentiles are added:
    exact for the median of independent steady times, an upper bound for p95.
    """
    first = backbone_latency(backbone, cache_dir)
    if first is None or predict_head is None:
        return first
    generator = np.random.default_rng(0)
    width = backbone.info.embedding_width
    features = {n: generator.standard_normal((n, width)).astype(np.float32) for n in BATCH_SIZES}
    # On one thread a head answers within a time slice: the median of many calls does not feel what else is running.
    with one_thread():
        second = measure(lambda size: predict_head(features[size]), HEAD_BUDGET_S, most_of_others=1.0)
    if second is None:
        return None
    return Latency(**{name: getattr(first, name) + getattr(second, name) for name in Latency.model_fields})


def image_latency(
    predict: Callable[[npt.NDArray[np.uint8]], object], height_px: int, width_px: int
) -> Latency | None:
    """Latency of `predict(images)` on made-up uint8 images (n, height_px, width_px, 3): for heads that answer with masks."""
    images = _random_images(height_px, width_px)
    return measure(lambda size: predict(images[:size]))


def backbone_latency(backbone: Backbone, cache_dir: Path | None = None) -> Latency | None:
    """Latency of the backbone alone in its inference form and working precision, on random images of its input size.

    Measured once for all networks of one shape on one machine (device, precision, threads, torch), and kept in `cache_dir`.
    None where the machine was never quiet: nothing is kept then, and it is tried again after RETRY_AFTER_S at the earliest.
    """
    key = _machine_key(backbone)
    path = cache_dir / "latency" / f"{key}.json" if cache_dir else None
    kept = _read(path) if path else None
    if kept or time.perf_counter() - _missed_at.get(key, -np.inf) < RETRY_AFTER_S:
        return kept
    images = _random_images(backbone.input.height_px, backbone.input.width_px)
    latency = measure(lambda size: backbone.forward_batch(images[:size]))
    if latency is None:
        _missed_at[key] = time.perf_counter()
    elif path:
        _keep(path, latency)
    return latency


def _random_images(height_px: int, width_px: int) -> npt.NDArray[np.uint8]:
    shape = (max(BATCH_SIZES), height_px, width_px, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def _machine_key(backbone: Backbone) -> str:
    import torch

    machine = f"{platform.node()} {backbone.device_name} {torch.get_num_threads()} {torch.__version__}"
    return hashlib.sha256(f"{backbone.shape} {backbone.precision} {machine}".encode()).hexdigest()[:24]


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
