"""Which networks a fit may use: those whose weights are on this machine, and what one image costs each."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from lib.benchmark.plan import MACS_PER_S
from lib.config import Settings
from lib.errors import CvAutomlError, TooLittleDataError, WeightsError
from lib.records import BackboneInfo, RunRecord
from lib.records.costs import features_rate
from lib.zoo.backbones import backbone_names, describe_backbone, open_backbone
from lib.zoo.catalogue import CURATED
from lib.zoo.network import NetworkBackbone
from lib.zoo.weights import find_in_cache

CALLS = 5


def networks(wanted: Sequence[str], settings: Settings, most: int) -> list[BackboneInfo]:
    """The networks asked for, else the `most` smallest with weights in weights_dir or the Hugging Face cache, the least
    computation first; where there are none, those that the hub has. Raises CvAutomlError where none can be used."""
    if wanted:
        return _sorted([describe_backbone(name, settings) for name in wanted])
    there = at_hand(settings)[:most]
    if there:
        return _sorted([describe_backbone(name, settings) for name in there])
    found, problem = [], ""
    for name in backbone_names():
        try:
            found += [describe_backbone(name, settings)] if name in CURATED else []
        except WeightsError as error:
            problem = problem or str(error)
    if not found:
        raise WeightsError(problem or "there is no network to use: see `zoo.py list`")
    return _sorted(found)


def _sorted(found: list[BackboneInfo]) -> list[BackboneInfo]:
    return sorted(found, key=lambda info: info.flops)


def at_hand(settings: Settings) -> list[str]:
    """Names of networks whose weights lie on this machine, the smallest file of weights_dir first; no hub is asked."""
    folder = settings.weights_dir
    files = list(folder.glob("*.safetensors")) if folder and folder.is_dir() else []
    files.sort(key=lambda path: (path.stat().st_size, path.name))
    names = [path.stem for path in files]
    return [*names, *(name for name in CURATED if name not in names and find_in_cache(name))]


@dataclass
class Latencies:
    """Milliseconds that one image takes each network on this machine: the median of a few calls where a limit has to be kept;
    else what its features took, which tells the cheaper of two as well and costs nothing."""

    settings: Settings
    known: dict[str, float] = field(default_factory=dict)

    def of(self, info: BackboneInfo, record: RunRecord | None = None) -> float:
        """Of the network alone."""
        rate = features_rate(record) if record else None
        return self.known.get(info.name, 1000 * (info.flops / MACS_PER_S if rate is None else rate))

    def measured(self, info: BackboneInfo) -> float:
        """Measured once."""
        if info.name not in self.known:
            self.known[info.name] = self._measure(info.name)
        return self.known[info.name]

    def _measure(self, name: str) -> float:
        backbone = open_backbone(name, self.settings)
        assert isinstance(backbone, NetworkBackbone)
        image = np.zeros((1, backbone.input.height_px, backbone.input.width_px, 3), dtype=np.uint8)
        return call_ms(lambda: backbone.forward_batch(image))


def call_ms(call: Callable[[], object]) -> float:
    """Milliseconds of one call, as the machine is now: median of a few, after one that is not counted."""
    call()
    times = []
    for _ in range(CALLS):
        begin = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - begin))
    return median(times)


def within(
    found: Sequence[BackboneInfo],
    latencies: Latencies,
    max_latency_ms: float | None,
    max_parameters: int | None,
) -> list[BackboneInfo]:
    """Those within the limits; raises TooLittleDataError, naming the nearest, where there are none."""
    small = [one for one in found if max_parameters is None or one.parameters <= max_parameters]
    if not small:
        least = min(found, key=lambda one: one.parameters)
        raise TooLittleDataError(
            f"no network has at most {max_parameters:,} parameters; the smallest, {least.name}, has {least.parameters:,}: "
            "raise --max-parameters"
        )
    if max_latency_ms is None:
        return small
    quick = [one for one in small if latencies.measured(one) <= max_latency_ms]
    if not quick:
        least = min(small, key=lambda one: latencies.measured(one))
        raise CvAutomlError(
            f"no network answers within {max_latency_ms:g} ms on this machine; the quickest, {least.name}, took "
            f"{latencies.measured(least):.1f} ms: raise --max-latency-ms"
        )
    return quick
