"""Which rule of choosing the model to hand over answers most images right: fits that were kept, half of their images choose.

    python benchmarks/fit_choice.py OUT=FOLDER...      (OUT: what `fit.py` filled; FOLDER: the images that it was given)

Of each fit the out-of-fold answers are split at random, again and again: a rule sees one half and is judged by its hits on the
other. Test parts are not touched. Writes benchmarks/results/fit_choice_<date>.json.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
from reports import RESULTS, write_report

from lib.command_line import FILE, run_command, weights_options
from lib.config import Settings
from lib.datasets import load_data_set
from lib.fit.choice import (
    Candidate,
    Labels,
    best_of,
    calibrated,
    choose,
    equals_of,
    mixed,
    paired,
    team_of,
    tempered,
)
from lib.fit.division import divided
from lib.fit.hearing import pair_name
from lib.fit.place import RECORDS, Place
from lib.records import RecordStore
from lib.zoo.devices import set_threads

SPLITS = 20
Rule = Callable[[Sequence[Candidate], Labels], Candidate]


def _networks(ready: Sequence[Candidate], labels: Labels, size: int) -> Candidate:
    """The mean of the best pairs of so many networks."""
    members = team_of(best_of(ready, labels, "accuracy"), ready, labels, "accuracy", size)
    return mixed(members, labels)


def _beyond_noise(ready: Sequence[Candidate], labels: Labels) -> Candidate:
    """Three networks where they save more than the standard error of what they save."""
    best, team = best_of(ready, labels, "accuracy"), _networks(ready, labels, 3)
    gain = paired(best, team, labels, "accuracy")
    return team if gain.worse > gain.error else best


RULES: dict[str, Rule] = {
    "fit's own": lambda ready, labels: choose(ready, labels, "accuracy").chosen,
    "best pair": lambda ready, labels: best_of(ready, labels, "accuracy"),
    "cheapest equal": lambda ready, labels: equals_of(
        best_of(ready, labels, "accuracy"), ready, labels, "accuracy"
    )[0],
    "two networks": lambda ready, labels: _networks(ready, labels, 2),
    "three networks": lambda ready, labels: _networks(ready, labels, 3),
    "three networks beyond noise": _beyond_noise,
}


@click.command(help=__doc__)
@click.argument("fits", nargs=-1, required=True)
@click.option("--test-fold", type=int, help="As the fits were asked for [none].")
@click.option("--results", type=FILE, default=RESULTS, show_default="benchmarks/results")
@weights_options
def main(fits: tuple[str, ...], test_fold: int | None, results: Path, settings: Settings) -> None:
    rows = {}
    for fit in fits:
        out, _, folder = fit.partition("=")
        singles, labels = answers_of(Path(out), folder, test_fold, settings)
        rows[Path(folder).name] = judged(singles, labels)
        click.echo(
            f"{Path(folder).name}: " + ", ".join(f"{k} {v:.4f}" for k, v in rows[Path(folder).name].items())
        )
    mean = {rule: statistics.fmean(row[rule] for row in rows.values()) for rule in RULES}
    threads = set_threads(settings.threads)
    path = write_report("fit_choice", results, threads, splits=SPLITS, accuracy=rows, mean=mean)
    click.echo(f"mean: {', '.join(f'{k} {v:.4f}' for k, v in mean.items())}; wrote {path}")


def answers_of(
    out: Path, folder: str, test_fold: int | None, settings: Settings
) -> tuple[list[Candidate], Labels]:
    """The frozen pairs of a fit with their out-of-fold answers, on the images that all of them answered."""
    data_set = divided(load_data_set(folder, settings), test_fold).inner
    assert data_set.labels is not None
    place, found = Place(out, None), []  # type: ignore[arg-type]
    for one in RecordStore(out / RECORDS).read_all(("finished",))[0]:
        given = place.read_answers(one.key, len(data_set), len(data_set.classes))
        if given is not None and not one.recipe.finetune:
            cost = float(one.backbone.flops), one.backbone.parameters
            found.append(Candidate(pair_name(one), (one.key,), given, *cost, network=one.backbone.name))
    known = np.all([one.known for one in found], axis=0)
    return [replace(one, answers=one.answers[known]) for one in found], data_set.labels[known]


def judged(singles: Sequence[Candidate], labels: Labels) -> dict[str, float]:
    """Rule → mean share of hits on the halves that did not choose."""
    hits: dict[str, list[float]] = {rule: [] for rule in RULES}
    for seed in range(SPLITS):
        first = np.random.default_rng(seed).permutation(len(labels)) < len(labels) // 2
        half = [calibrated(replace(one, answers=one.answers[first]), labels[first]) for one in singles]
        for name, rule in RULES.items():
            chosen = rule(half, labels[first])
            given = np.mean(
                [
                    tempered(one.answers[~first], ready.temperatures[0])
                    for key in chosen.keys
                    for one, ready in zip(singles, half, strict=True)
                    if one.keys == (key,)
                ],
                axis=0,
            )
            hits[name].append(float((given.argmax(axis=1) == labels[~first]).mean()))
    return {rule: statistics.fmean(values) for rule, values in hits.items()}


if __name__ == "__main__":
    run_command(main)
