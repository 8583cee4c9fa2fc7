"""Speed of computing features: ratios within one run, so that they hold on a busy machine too.

    python benchmarks/features.py --dataset DIR --backbones mobilenetv2_100,resnet18 --images 64

Compares, on real images and real weights where `weights_dir` holds them (random ones otherwise, which are as fast):
a plain loop (fp32, the network as it was pretrained, read one batch, then run it), the same with the inference form, the
project's own way in fp32 and bf16, and the cache. The variants take turns, so that a load that comes and goes meets all alike. Writes benchmarks/results/features_<date>.json.
"""

from __future__ import annotations

import copy
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click
import numpy as np
import torch
from pydantic import BaseModel

from lib.command_line import run_command, settings_options
from lib.config import PROJECT_ROOT, Settings
from lib.datasets import DataSet, load_data_set
from lib.errors import WeightsError
from lib.features.embeddings import embeddings_of
from lib.files import write_atomically
from lib.performance_prediction.table.circumstances import commit
from lib.zoo.backbones import open_backbone
from lib.zoo.inference_form import inference_form
from lib.zoo.network import NetworkBackbone
from lib.zoo.preprocessing import normalised_tensor, resized

RESULTS = PROJECT_ROOT / "benchmarks" / "results"
PLAIN = "plain fp32 loop"


class BackboneSpeed(BaseModel):
    """Images a second of each variant (median over rounds) and how many times as fast as the plain loop it is."""

    backbone: str
    weights: str
    images_per_s: dict[str, float]
    times_plain: dict[str, float]
    cosine_bf16_fp32: float


class SpeedReport(BaseModel):
    """What was measured, where and when."""

    date: str
    commit: str
    machine: str
    threads: int
    torch: str
    data_set: str
    images: int
    rounds: int
    backbones: list[BackboneSpeed]


@click.command(help=__doc__)
@click.option(
    "--dataset", required=True, type=click.Path(path_type=Path, exists=True), help="A data set's folder."
)
@click.option(
    "--backbones", default="mobilenetv2_100,vit_tiny_patch16_224", show_default=True, help="Names, by commas."
)
@click.option("--images", default=64, show_default=True, help="How many images of the set.")
@click.option("--rounds", default=3, show_default=True, help="Each variant runs so many times, in turns.")
@click.option(
    "--results", type=click.Path(path_type=Path), default=RESULTS, show_default="benchmarks/results"
)
@settings_options
def main(dataset: Path, backbones: str, images: int, rounds: int, results: Path, settings: Settings) -> None:
    data_set = load_data_set(dataset, settings)
    count = min(images, len(data_set))
    speeds = [_speed_of(name, data_set, count, rounds, settings) for name in backbones.split(",")]
    now = datetime.now(UTC)
    report = SpeedReport(
        date=now.isoformat(timespec="seconds"),
        commit=commit(),
        machine=f"{platform.machine()}, {_processor()}",
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        data_set=data_set.name,
        images=count,
        rounds=rounds,
        backbones=speeds,
    )
    path = results / f"features_{now:%Y-%m-%d}.json"
    write_atomically(path, report.model_dump_json(indent=1) + "\n")
    for speed in speeds:
        for variant, ratio in speed.times_plain.items():
            click.echo(
                f"{speed.backbone:24} {variant:32} {speed.images_per_s[variant]:9.1f} images/s {ratio:6.2f} x"
            )
    click.echo(f"wrote {path}")


def _speed_of(name: str, data_set: DataSet, count: int, rounds: int, settings: Settings) -> BackboneSpeed:
    try:
        full = open_backbone(name, settings.override(precision="fp32"))
    except WeightsError:
        settings = settings.override(weights="random")
        full = open_backbone(name, settings.override(precision="fp32"))
    half = open_backbone(name, settings.override(precision="bf16"))
    assert isinstance(full, NetworkBackbone) and isinstance(half, NetworkBackbone)
    network = full.feature_module().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    form = inference_form(
        copy.deepcopy(network), torch.zeros(1, 3, full.input.height_px, full.input.width_px)
    )
    variants: dict[str, Callable[[], object]] = {
        PLAIN: lambda: _plain_loop(network, full, data_set, count),
        "fp32 loop, inference form": lambda: _plain_loop(form, full, data_set, count),
        "fp32, channels last, read ahead": lambda: full.extract(_readers(data_set, count)),
        "bf16, channels last, read ahead": lambda: half.extract(_readers(data_set, count)),
    }
    speed = _in_turns(variants, count, rounds)
    speed["cached"] = _cached_speed(half, data_set, settings)
    a, b = (backbone.extract(_readers(data_set, 16)).values for backbone in (full, half))
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    return BackboneSpeed(
        backbone=name,
        weights=full.info.weights_origin,
        images_per_s={variant: round(value, 2) for variant, value in speed.items()},
        times_plain={variant: round(value / speed[PLAIN], 2) for variant, value in speed.items()},
        cosine_bf16_fp32=round(float(cosine.min()), 5),
    )


def _in_turns(variants: dict[str, Callable[[], object]], count: int, rounds: int) -> dict[str, float]:
    for run in variants.values():
        run()
    seconds: dict[str, list[float]] = {variant: [] for variant in variants}
    for _ in range(rounds):
        for variant, run in variants.items():
            start = time.perf_counter()
            run()
            seconds[variant].append(time.perf_counter() - start)
    return {variant: count / statistics.median(times) for variant, times in seconds.items()}


def _plain_loop(network: torch.nn.Module, backbone: NetworkBackbone, data_set: DataSet, count: int) -> None:
    """What one writes first: read a batch, run it in fp32 in torch's usual layout, read the next."""
    for start in range(0, count, backbone.batch_size):
        batch = [data_set.read_image(i) for i in range(start, min(start + backbone.batch_size, count))]
        images = torch.from_numpy(np.stack([resized(image, backbone.input) for image in batch]))
        with torch.no_grad():
            network(normalised_tensor(images, backbone.input).contiguous())


def _readers(data_set: DataSet, count: int) -> list[Callable[[], np.ndarray]]:
    return [lambda i=i: data_set.read_image(i) for i in range(count)]  # type: ignore[misc]


def _cached_speed(backbone: NetworkBackbone, data_set: DataSet, settings: Settings) -> float:
    with tempfile.TemporaryDirectory() as folder:
        here = settings.override(cache_dir=Path(folder))
        embeddings_of(data_set, backbone, here)
        start = time.perf_counter()
        kept = embeddings_of(data_set, backbone, here)
        assert kept.from_cache
        return len(data_set) / (time.perf_counter() - start)


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    return next(
        (line.partition(":")[2].strip() for line in lines if "model name" in line), platform.processor()
    )


if __name__ == "__main__":
    run_command(main)
