"""What a grid costs: CPU seconds of a fold for each head on cached features, and 24 settings of the perceptron against one.

    python benchmarks/heads.py --dataset DIR --backbone mobilenetv2_100

One core; the variants take turns, so that a load that comes and goes meets all alike, and the median counts. Writes
benchmarks/results/heads_<date>.json.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
import torch
from reports import RESULTS, write_report

from lib.command_line import run_command, settings_options
from lib.config import Settings
from lib.datasets import DataSet, load_data_set
from lib.features.embeddings import embeddings_of
from lib.zoo.backbones import Backbone, open_backbone
from lib.zoo.heads import HEADS, TrainingJob
from lib.zoo.pairing import heads_for
from lib.zoo.recipes import recipe_for

ONE, MANY = "mlp, 1 setting", "mlp, 24 settings"
GRID_OF_24 = {
    "learning_rate": (0.01, 0.001, 0.003, 0.03),
    "weight_decay": (1.0, 0.1, 0.01),
    "dropout": (0.1, 0.5),
}


@click.command(help=__doc__)
@click.option(
    "--dataset", required=True, type=click.Path(path_type=Path, exists=True), help="A data set's folder."
)
@click.option("--backbone", default="mobilenetv2_100", show_default=True, help="Whose embeddings are used.")
@click.option("--rounds", default=3, show_default=True, help="Each variant runs so many times, in turns.")
@click.option(
    "--results", type=click.Path(path_type=Path), default=RESULTS, show_default="benchmarks/results"
)
@settings_options
def main(dataset: Path, backbone: str, rounds: int, results: Path, settings: Settings) -> None:
    torch.set_num_threads(1)
    make = partial(_job, load_data_set(dataset, settings), open_backbone(backbone, settings), settings)
    jobs = {name: make(name) for name in heads_for("classification")}
    one = {name: (values[0],) for name, values in GRID_OF_24.items()}
    jobs |= {ONE: make("mlp", grid=one), MANY: make("mlp", grid=GRID_OF_24)}
    measured = _in_turns(
        {name: partial(HEADS[name.split(",")[0]]().train, jobs[name]) for name in jobs}, rounds
    )
    ratio = measured[MANY] / measured[ONE]
    sizes = {part: int((jobs[ONE].data_set.parts == part).sum()) for part in ("train", "validation", "test")}
    path = write_report(
        "heads",
        results,
        threads=1,
        data_set=jobs[ONE].data_set.name,
        images=sizes,
        backbone=backbone,
        rounds=rounds,
        cpu_seconds_a_fold={name: round(value, 3) for name, value in measured.items()},
        cost_of_24_settings_in_ones=round(ratio, 2),
    )
    for name, value in measured.items():
        click.echo(f"{name:18} {value:7.3f} CPU seconds a fold")
    click.echo(f"24 settings cost {ratio:.2f} times one; wrote {path}")


def _job(data_set: DataSet, backbone: Backbone, settings: Settings, head: str, **recipe: Any) -> TrainingJob:
    made = recipe_for(head, "classification", settings, precision="fp32").model_copy(update=recipe)
    features = embeddings_of(data_set, backbone, settings).values
    return TrainingJob(data_set.fold("folds", 0), backbone, made, 0, torch.device("cpu"), features)


def _in_turns(variants: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median CPU seconds of each variant; a first round is not counted."""
    taken: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds + 1):
        for name, run in variants.items():
            start = time.process_time()
            run()
            taken[name].append(time.process_time() - start)
    return {name: statistics.median(values[1:]) for name, values in taken.items()}


if __name__ == "__main__":
    run_command(main)
