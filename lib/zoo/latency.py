"""How long an answer takes: milliseconds a batch, repeated until the machine is quiet and the medians agree."""

from __future__ import annotations

import hashlib
import os
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lib.files import write_atomically
from lib.records import Latency
from lib.zoo.base import Backbone
from lib.zoo.devices import busy_cpu_s, one_thread

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


def measure(predict: Callable[[int], object], budget_s: float = BUDGET_S) -> Latency | None:
    """Latency of `predict(batch_size)`; None where the machine was never quiet in `budget_s` seconds for each size."""
    found = {n: time_batch(partial(predict, n), budget_s) for n in BATCH_SIZES}
    times = {
        f"batch{n}_{name}_ms": ms
        for n, timing in found.items()
        for name, ms in zip(("median", "p95"), timing or (), strict=bool(timing))
    }
    return Latency(**times) if all(found.values()) else None


def time_batch(predict: Callable[[], object], budget_s: float = BUDGET_S) -> tuple[float, float] | None:
    """Median and 95th percentile of one call in ms: it is called once unmeasured, then in rounds until the three fastest
    quiet ones agree; None where they never do.

    A round is what fits into ROUND_S, one call at least. Rounds agree where the highest of their medians is at most
    LARGEST_SPREAD above the lowest, which is taken: a load adds to a time and never takes from it.
    """
    predict()
    quiet: list[tuple[float, list[float]]] = []
    n_rounds, begin = 0, time.perf_counter()
    while n_rounds < AGREEING_ROUNDS or time.perf_counter() - begin < budget_s:
        n_rounds += 1
        times, others_share = _round(predict)
        if others_share <= MOST_OF_OTHERS:
            quiet.append((float(np.median(times)), times))
        fastest = sorted(quiet)[:AGREEING_ROUNDS]
        if len(fastest) == AGREEING_ROUNDS and fastest[-1][0] <= (1 + LARGEST_SPREAD) * fastest[0][0]:
            return fastest[0][0], float(np.percentile([ms for _, times in fastest for ms in times], 95))
    return None


def _round(predict: Callable[[], object]) -> tuple[list[float], float]:
    """Milliseconds of calls one after the other, and the share of all cores that other processes took meanwhile."""
    times: list[float] = []
    busy, own, begin = busy_cpu_s(), time.process_time(), time.perf_counter()
    now = begin
    while not times or now - begin < ROUND_S:
        predict()
        after = time.perf_counter()
        times.append(1000 * (after - now))
        now = after
    others = busy_cpu_s() - busy - (time.process_time() - own)
    return times, others / max((now - begin) * (os.cpu_count() or 1), 1e-9)


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
    return together(first, head_latency(backbone.info.embedding_width, predict_head))


def head_latency(
    embedding_width: int,
    predict_head: Callable[[npt.NDArray[np.float32]], object],
    budget_s: float = HEAD_BUDGET_S,
) -> Latency | None:
    """Latency of a head alone, on made-up features, on one thread; None where the machine was never quiet in `budget_s` seconds
    for each batch size."""
    generator = np.random.default_rng(0)
    features = {n: generator.standard_normal((n, embedding_width)).astype(np.float32) for n in BATCH_SIZES}
    with one_thread():
        return measure(lambda size: predict_head(features[size]), budget_s)


def together(first: Latency | None, second: Latency | None) -> Latency | None:
    """One after the other; None where one was not measured."""
    if first is None or second is None:
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
    kept = None
    if path:
        with suppress(OSError, ValueError):
            kept = Latency.model_validate_json(path.read_text(encoding="utf-8"))
    if kept or time.perf_counter() - _missed_at.get(key, -np.inf) < RETRY_AFTER_S:
        return kept
    images = _random_images(backbone.input.height_px, backbone.input.width_px)
    latency = measure(lambda size: backbone.forward_batch(images[:size]))
    if latency is None:
        _missed_at[key] = time.perf_counter()
    elif path:
        with suppress(OSError):  # a read-only cache costs only the next measurement
            write_atomically(path, latency.model_dump_json())
    return latency


def _random_images(height_px: int, width_px: int) -> npt.NDArray[np.uint8]:
    shape = (max(BATCH_SIZES), height_px, width_px, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def _machine_key(backbone: Backbone) -> str:
    import torch

    machine = f"{platform.node()} {backbone.device_name} {torch.get_num_threads()} {torch.__version__}"
    return hashlib.sha256(f"{backbone.shape} {backbone.precision} {machine}".encode()).hexdigest()[:24]
