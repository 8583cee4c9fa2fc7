"""What a sweep costs: one backbone, seven heads, three folds, against features once a pair and against running the backbone in every epoch.

    python benchmarks/sweep.py --dataset DIR --backbone tf_mobilenetv3_small_100

CPU seconds and peak memory, each way in a process of its own with an empty cache. `sweep`: this project, with every head's grid.
`a pair at a time`: the same, but nothing shared between pairs. `every epoch`: a network whose backbone is frozen, trained as in a
tutorial: images read, resized and sent through it in every epoch; one epoch of one pair is measured (one setting, no grid) and
multiplied by pairs, folds and epochs. Writes benchmarks/results/sweep_<date>.json.
"""

from __future__ import annotations

import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import torch
from reports import RESULTS, write_report

from lib.benchmark.cell_run import Bench, run_cell
from lib.benchmark.listening import Listener
from lib.benchmark.prepare import prepared
from lib.benchmark.selection import Request
from lib.command_line import FILE, run_command, weights_options
from lib.config import Settings
from lib.datasets import load_data_set
from lib.zoo.devices import choose_device, set_threads
from lib.zoo.metrics import labels_of
from lib.zoo.network import NetworkBackbone
from lib.zoo.preprocessing import Indices, normalised_tensor, resized
from lib.zoo.upscaling import opened_for

HEADS = ("naive", "linear", "mlp", "student", "student_alone", "knn", "catboost")
FOLDS, EPOCHS, BATCH = 3, 10, 32


@click.command(help=__doc__)
@click.option("--dataset", required=True, type=FILE, help="A data set's folder, with one class an image.")
@click.option("--backbone", default="tf_mobilenetv3_small_100", show_default=True, help="The frozen network.")
@click.option("--results", type=FILE, default=RESULTS, show_default="benchmarks/results")
@weights_options
def main(dataset: Path, backbone: str, results: Path, settings: Settings) -> None:
    ways = {
        "sweep": _alone(_sweep, dataset, backbone, settings),
        "a pair at a time": _alone(_pair_at_a_time, dataset, backbone, settings),
        "every epoch": _alone(_an_epoch, dataset, backbone, settings),
    }
    seconds = {name: cpu_s for name, (cpu_s, _) in ways.items()}
    seconds["every epoch"] *= len(HEADS) * FOLDS * EPOCHS
    times = {name: round(value / seconds["sweep"], 1) for name, value in seconds.items()}
    path = write_report(
        "sweep",
        results,
        set_threads(settings.threads),
        data_set=dataset.name,
        backbone=backbone,
        heads=HEADS,
        folds=FOLDS,
        epochs=EPOCHS,
        cpu_seconds={name: round(value, 1) for name, value in seconds.items()},
        times_the_sweep=times,
        peak_memory_mib={name: round(memory) for name, (_, memory) in ways.items()},
    )
    for name, value in seconds.items():
        click.echo(
            f"{name:18} {value:9.1f} CPU s, {times[name]:6.1f} times the sweep, {ways[name][1]:6.0f} MiB"
        )
    click.echo(f"wrote {path}")


def _alone(way: Callable[..., float], *arguments: object) -> tuple[float, float]:
    """CPU seconds that a way returns, and MiB at most, in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (way, *arguments))


def _measured(way: Callable[..., float], *arguments: object) -> tuple[float, float]:
    return way(*arguments), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _sweep(dataset: Path, backbone: str, settings: Settings, heads: tuple[str, ...] = HEADS) -> float:
    with tempfile.TemporaryDirectory() as folder:
        own = settings.override(cache_dir=Path(folder) / "cache", runs_dir=Path(folder) / "runs")
        begin = time.process_time()
        request = Request((str(dataset),), (backbone,), heads, epochs=EPOCHS, folds=FOLDS)
        sweep = prepared(request, own)
        bench = Bench(sweep.selection.data_sets[0].data_set, backbone, own, measures_latency=False)
        for planned in sweep.plan.cells:
            record = run_cell(planned.cell, bench, Listener())
            assert record.status == "finished", record.reason
        return time.process_time() - begin


def _pair_at_a_time(dataset: Path, backbone: str, settings: Settings) -> float:
    return sum(_sweep(dataset, backbone, settings, (head,)) for head in HEADS)


def _an_epoch(dataset: Path, backbone: str, settings: Settings) -> float:
    """One epoch of a linear head over a network that is run anew: train part forward and step, validation part forward."""
    set_threads(settings.threads)
    data_set = load_data_set(dataset, settings).fold("folds", 0)
    opened = opened_for(data_set, backbone, settings)
    assert isinstance(opened, NetworkBackbone), "a network is needed here"
    network, spec = opened.feature_module(), opened.input
    layer = torch.nn.Linear(opened.info.embedding_width, len(data_set.classes))
    optimizer = torch.optim.AdamW(layer.parameters())
    labels = torch.from_numpy(labels_of(data_set)).long()
    device = choose_device(settings.device)

    def features(rows: Indices) -> torch.Tensor:
        images = torch.stack([torch.from_numpy(resized(data_set.read_image(i), spec)) for i in rows])
        with torch.no_grad():
            return network(normalised_tensor(images.to(device), spec))

    begin = time.process_time()
    for part in ("train", "validation"):
        indices = data_set.indices(part)
        for rows in (indices[i : i + BATCH] for i in range(0, len(indices), BATCH)):
            logits = layer(features(rows))
            if part == "train":
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(logits, labels[rows]).backward()
                optimizer.step()
    return time.process_time() - begin


if __name__ == "__main__":
    run_command(main)
