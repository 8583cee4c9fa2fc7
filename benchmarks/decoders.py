"""What keeping the maps of a frozen backbone saves: an epoch of a decoder on kept maps against one that computes them anew.

    python benchmarks/decoders.py --dataset DIR --backbone mobilenetv2_100,legacy_xception_c4

One core; the variants take turns, so that a load that comes and goes meets all alike, and the median counts. `memory`: maps kept in
main memory; `disk`: read from the cache folder each time; `none`: computed from the images each time, which are kept in memory
for all alike. Writes benchmarks/results/decoders_<date>.json.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click
import torch
from reports import RESULTS, write_report

from lib.command_line import backbones_option, run_command, settings_options
from lib.config import Settings
from lib.datasets import load_data_set
from lib.features.cache import FeatureCache
from lib.zoo.backbones import open_backbone
from lib.zoo.heads import TrainingJob
from lib.zoo.preprocessing import Kept
from lib.zoo.recipes import recipe_for
from lib.zoo.segmentation.decoders import DECODERS
from lib.zoo.segmentation.training import MaskTraining

KINDS = ("memory", "disk", "none")


@click.command(help=__doc__)
@click.option(
    "--dataset", required=True, type=click.Path(path_type=Path, exists=True), help="A data set of masks."
)
@backbones_option(True, "Whose maps are used; lists.")
@click.option("--images", default=16, show_default=True, help="Training images of an epoch.")
@click.option("--rounds", default=3, show_default=True, help="Each variant runs so many times, in turns.")
@click.option(
    "--results", type=click.Path(path_type=Path), default=RESULTS, show_default="benchmarks/results"
)
@settings_options
def main(
    dataset: Path, backbones: tuple[str, ...], images: int, rounds: int, results: Path, settings: Settings
) -> None:
    torch.set_num_threads(1)
    data_set = load_data_set(dataset, settings)
    data_set = replace(data_set, parts=data_set.divisions("folds")[0].copy(), folds=())
    data_set.parts[data_set.indices("train")[images:]] = "unused"
    found: dict[str, dict[str, dict[str, float]]] = {}
    for backbone, decoder in itertools.product(backbones, DECODERS):
        recipe = recipe_for(decoder, "segmentation", settings, precision="fp32", sizes=data_set.sizes)
        network = open_backbone(backbone, settings)
        job = TrainingJob(data_set, network, recipe, 0, torch.device("cpu"))
        seconds = found.setdefault(backbone, {})[decoder] = _measured(job, decoder, rounds)
        ratios = ", ".join(f"{kind} {seconds['none'] / seconds[kind]:.1f} times" for kind in KINDS[:2])
        click.echo(f"{backbone:26} {decoder:14} {seconds['none']:7.2f} CPU s an epoch; faster by {ratios}")
    path = write_report(
        "decoders",
        results,
        threads=1,
        data_set=data_set.name,
        images=images,
        size_px=[recipe.image_height_px, recipe.image_width_px],
        rounds=rounds,
        cpu_seconds_an_epoch=found,
        times_faster_than_none={
            backbone: {
                name: {kind: round(seconds["none"] / seconds[kind], 2) for kind in KINDS[:2]}
                for name, seconds in decoders.items()
            }
            for backbone, decoders in found.items()
        },
    )
    click.echo(f"wrote {path}")


def _measured(job: TrainingJob, decoder: str, rounds: int) -> dict[str, float]:
    """Median CPU seconds of an epoch by the way of keeping maps; a first round, which fills what is kept, is not counted."""
    with tempfile.TemporaryDirectory() as folder:
        disk = FeatureCache(Path(folder), 10)
        trainings = {
            kind: MaskTraining(replace(job, maps_cache=disk if kind == "disk" else None), decoder)
            for kind in KINDS
        }
        for kind in KINDS[1:]:
            frozen = trainings[kind].frozen
            assert frozen
            frozen.maps = Kept(frozen._found, limit_bytes=0)
        taken: dict[str, list[float]] = {kind: [] for kind in KINDS}
        for _ in range(rounds + 1):
            for kind, training in trainings.items():
                taken[kind].append(_seconds(lambda training=training: _epoch(training)))  # type: ignore[misc]
    return {kind: round(statistics.median(values[1:]), 3) for kind, values in taken.items()}


def _epoch(training: MaskTraining) -> None:
    optimizer = torch.optim.AdamW(training.pair.decoder.parameters(), lr=1e-4)
    for batch in training._batches():
        optimizer.zero_grad()
        training._loss(1, batch).backward()
        optimizer.step()


def _seconds(run: Callable[[], None]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


if __name__ == "__main__":
    run_command(main)
