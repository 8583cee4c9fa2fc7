"""How many wrong labels the list of images worth a second look finds: 5 % of the labels of real sets are flipped, and `fit` is run.

    python benchmarks/second_look.py FOLDER NAME... [--share 0.05] [--budget 2m]

The images are copied into folders of their (partly wrong) labels; the list is asked which. Of the list: all images whose answer
contradicts the label or whose near-duplicate is labelled otherwise; labels that were wrong before anybody flipped them count as
false alarms. Budgets are processor seconds. Writes benchmarks/results/second_look_<date>.json after every set.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from reports import RESULTS, write_report

from lib.clock import seconds_of
from lib.command_line import FILE, run_command, weights_options
from lib.config import Settings
from lib.datasets import DataSet, load_data_set
from lib.fit.request import Request
from lib.fit.second_look import KINDS
from lib.fit.whole import fitted
from lib.zoo.devices import set_threads


@click.command(help=__doc__)
@click.argument("folder", type=FILE)
@click.argument("names", nargs=-1, required=True)
@click.option("--share", default=0.05, show_default=True, help="Of the labels that are flipped.")
@click.option("--budget", default="2m", show_default=True, help="Processor seconds of each fit.")
@click.option("--backbone", "backbones", multiple=True, help="Only these networks.")
@click.option("--results", type=FILE, default=RESULTS, show_default="benchmarks/results")
@weights_options
def main(
    folder: Path,
    names: tuple[str, ...],
    share: float,
    budget: str,
    backbones: tuple[str, ...],
    results: Path,
    settings: Settings,
) -> None:
    threads, budget_s = set_threads(settings.threads), seconds_of(budget)
    rows = []
    for name in names:
        rows.append(judged(load_data_set(folder / name, settings), share, budget_s, backbones, settings))
        path = write_report("second_look", results, threads, share=share, budget_s=budget_s, sets=rows)
        click.echo(" ".join(f"{key}={value}" for key, value in rows[-1].items()))
    click.echo(f"wrote {path}")


def judged(
    data_set: DataSet, share: float, budget_s: float, backbones: Sequence[str], settings: Settings
) -> dict[str, Any]:
    """Precision and recall of the list on one set with flipped labels."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place) / data_set.name
        flipped = write_flipped(data_set, share, root)
        request = Request(
            str(root), Path(place) / "out", budget_s, finetune=False, backbones=tuple(backbones)
        )
        report = fitted(request, settings, clock=time.process_time).report
    listed = [
        row["file"].rsplit("/", 1)[-1] for row in report["second_look"]["rows"] if row["kind"] in KINDS[:2]
    ]
    hits = sum(file in flipped for file in listed)
    first = listed[: len(flipped)]
    return {
        "set": data_set.name,
        "images": len(data_set.used),
        "flipped": len(flipped),
        "listed": len(listed),
        "found": hits,
        "precision": round(hits / max(len(listed), 1), 4),
        "recall": round(hits / len(flipped), 4),
        "precision_at_flipped": round(sum(file in flipped for file in first) / len(flipped), 4),
        "accuracy_on_the_folds": report["chosen"]["validation"]["value"],
        "pair": report["chosen"]["pair"],
    }


def write_flipped(data_set: DataSet, share: float, root: Path) -> set[str]:
    """Copies the images below the folders of their labels, some of them wrong; returns the names of those."""
    assert data_set.labels is not None
    generator, used = np.random.default_rng(0), data_set.used
    wrong = set(generator.choice(used, max(round(share * len(used)), 1), replace=False).tolist())
    names = set()
    for i in used.tolist():
        label = int(data_set.labels[i])
        if i in wrong:
            label = (label + int(generator.integers(1, len(data_set.classes)))) % len(data_set.classes)
        file = f"{i:05}{Path(data_set.files[i]).suffix}"
        place = root / "images" / data_set.classes[label]
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(data_set.root / data_set.files[i], place / file)
        if i in wrong:
            names.add(file)
    return names


if __name__ == "__main__":
    run_command(main)
