"""Where the time of a fine-tuning epoch goes: reading and augmenting images against the network's forward, backward and step.

    python benchmarks/finetuning.py --dataset DIR --backbone tf_mobilenetv3_small_100

The images are in memory, as after the first pass over them. CPU seconds of the median batch of each augmentation. Writes
benchmarks/results/finetuning_<date>.json.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import process_time
from typing import Any

import click
from reports import RESULTS, write_report

from lib.command_line import FILE, run_command, weights_options
from lib.config import Settings
from lib.datasets import load_data_set
from lib.zoo.augmentation import Augmentation, steps_of
from lib.zoo.backbones import open_backbone
from lib.zoo.course import optimizer_of
from lib.zoo.devices import choose_device, set_threads
from lib.zoo.finetuning import TunedPair, batch_of
from lib.zoo.jobs import TrainingJob
from lib.zoo.logistic import fitted_logistic
from lib.zoo.preprocessing import Indices
from lib.zoo.recipes import recipe_for

AUGMENTATIONS = ("none", "flips", "light", "heavy")


@click.command(help=__doc__)
@click.option("--dataset", required=True, type=FILE, help="A data set's folder.")
@click.option("--backbone", default="tf_mobilenetv3_small_100", show_default=True, help="What is fine-tuned.")
@click.option("--batches", default=6, show_default=True, help="So many of each augmentation, in turns.")
@click.option("--results", type=FILE, default=RESULTS, show_default="benchmarks/results")
@weights_options
def main(dataset: Path, backbone: str, batches: int, results: Path, settings: Settings) -> None:
    threads = set_threads(settings.threads)
    pair = _pair(dataset, backbone, settings)
    height, width = pair.images.spec.height_px, pair.images.spec.width_px
    made = {n: Augmentation.of(steps_of(n, settings), height, width) for n in AUGMENTATIONS}
    measured = _measured(pair, made, batches)
    shares = {name: round(network / (network + rest), 3) for name, (network, rest) in measured.items()}
    path = write_report(
        "finetuning",
        results,
        threads,
        backbone=backbone,
        batch_size=pair.job.recipe.batch_size,
        cpu_seconds_a_batch={n: [round(value, 4) for value in values] for n, values in measured.items()},
        share_of_the_network=shares,
    )
    for name, share in shares.items():
        click.echo(f"{name:8} {share:.1%} of the time in the network")
    click.echo(f"wrote {path}")


def _pair(dataset: Path, backbone: str, settings: Settings) -> TunedPair:
    recipe = recipe_for("linear", "classification", settings, precision="fp32", finetune=True)
    data_set = load_data_set(dataset, settings).fold("folds", 0)
    opened = open_backbone(backbone, settings)
    return TunedPair(
        TrainingJob(data_set, opened, recipe, 0, choose_device(settings.device)), fitted_logistic
    )


def _measured(pair: TunedPair, made: dict[str, Augmentation], batches: int) -> dict[str, tuple[float, float]]:
    """Augmentation → CPU seconds of a batch (in the network, in everything else)."""
    optimizer = optimizer_of(pair.job.recipe, pair.head, pair.backbone)
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in made}
    size = pair.job.recipe.batch_size
    for turn in range(batches):
        rows = pair.train_rows[(turn * size) % len(pair.train_rows) :][:size]
        for name, augment in made.items():
            pair.augment = replace(augment)
            rest = _seconds(lambda rows=rows: pair.augment(batch_of(pair.images, rows)))
            whole = _seconds(lambda rows=rows: _step(pair, optimizer, rows))
            taken[name].append((whole - rest, rest))
    return {
        name: (statistics.median(n for n, _ in pairs[1:]), statistics.median(r for _, r in pairs[1:]))
        for name, pairs in taken.items()
    }


def _step(pair: TunedPair, optimizer: Any, rows: Indices) -> None:
    optimizer.zero_grad(set_to_none=True)
    pair.loss(1, rows).backward()
    optimizer.step()


def _seconds(do: Callable[[], Any]) -> float:
    begun = process_time()
    do()
    return process_time() - begun


if __name__ == "__main__":
    run_command(main)
