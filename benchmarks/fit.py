"""What `fit.py` reaches within a budget, beside what one would do without it, on data sets whose families' records are removed.

    python benchmarks/fit.py FOLDER NAME... [--budget 2m] [--fold 0] [--no-tune]

Each set is judged on the test part of one fold, which no arm sees before it ends. Beside `fit`: `probe`, the linear head on the
network that is best on average on the other families; `tuned`, that network fine-tuned with its default recipe for as many
epochs as fit into the budget; `frozen`, every frozen pair in the records, the best on the validation part (these two read from
the records: their seconds are what the records say). Seconds are processor seconds of all threads, so that other programs on the
machine do not count; with two threads the same work takes between half of that and that on a clock. Writes
benchmarks/results/fit_<date>.json after every set.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from reports import RESULTS, write_report

from lib.benchmark.plan import BACKWARD_COST
from lib.clock import seconds_of
from lib.command_line import FILE, run_command, weights_options
from lib.config import Settings
from lib.datasets import DataSet, load_data_set
from lib.fit.request import Request
from lib.fit.whole import fitted
from lib.performance_prediction.boosting.evidence import families_of
from lib.records import RecordStore, RunRecord
from lib.zoo.backbones import open_backbone
from lib.zoo.devices import choose_device, choose_precision, set_threads
from lib.zoo.heads import HEADS, TrainingJob
from lib.zoo.recipes import recipe_for

LEFT_OUT = ("naive",)
WARMED = 32
MOST_EPOCHS = 60
NEARLY_ALL = 0.9  # of the sets
SHARE = 0.9  # of the budget that fine-tuning plans with


@click.command(help=__doc__)
@click.argument("folder", type=FILE)
@click.argument("names", nargs=-1, required=True)
@click.option("--budget", default="2m", show_default=True, help="Processor seconds of each arm.")
@click.option("--fold", default=0, show_default=True, help="The fold whose test part judges.")
@click.option(
    "--tune/--no-tune", default=True, help="Whether to fine-tune as well, which takes the budget again."
)
@click.option("--results", type=FILE, default=RESULTS, show_default="benchmarks/results")
@weights_options
def main(
    folder: Path,
    names: tuple[str, ...],
    budget: str,
    fold: int,
    tune: bool,
    results: Path,
    settings: Settings,
) -> None:
    threads, budget_s = set_threads(settings.threads), seconds_of(budget)
    records = RecordStore(settings.runs_dir).read_all(("finished",))[0]
    rows: list[dict[str, Any]] = []
    for name in names:
        rows.append(judged(folder / name, records, budget_s, fold, tune, settings, threads))
        path = write_report("fit", results, threads, budget_s=budget_s, fold=fold, sets=rows, **summary(rows))
        click.echo(line_of(rows[-1]))
    click.echo(f"wrote {path}")


def judged(
    folder: Path,
    records: Sequence[RunRecord],
    budget_s: float,
    fold: int,
    tune: bool,
    settings: Settings,
    threads: int,
) -> dict[str, Any]:
    """Every arm on one set: accuracy on the fold's test part and processor seconds."""
    data_set = load_data_set(folder, settings)
    families = families_of(records, settings.related_data_sets)
    own = families.get(data_set.name, data_set.name)
    others = [one for one in records if families.get(one.data_set.name) != own]
    best = best_on_average(others)
    here = [one for one in records if one.data_set.fingerprint == data_set.fingerprint]
    with tempfile.TemporaryDirectory() as place:
        prior = prior_without(settings.runs_dir, {one.data_set.name for one in others}, Path(place) / "runs")
        request = Request(str(folder), Path(place) / "out", budget_s, test_fold=fold)
        begin = time.process_time()
        # A cache of its own: features of earlier folds would be a present.
        alone = settings.override(runs_dir=prior, cache_dir=Path(place) / "cache")
        report = fitted(request, alone, clock=time.process_time).report
        seconds = time.process_time() - begin
    return {
        "set": data_set.name,
        "images": len(data_set.used),
        "n_test": report["test"]["n_test"],
        "fit": {
            "accuracy": report["test"]["value"],
            "seconds": round(seconds, 1),
            "pair": report["chosen"]["pair"],
        },
        "validation": report["chosen"]["validation"]["value"],
        "probe": probe_of(here, best, fold, threads),
        "frozen": frozen_of(here, fold, threads),
        "tuned": tuned_for(data_set, best, budget_s, fold, settings) if tune else None,
    }


def best_on_average(records: Sequence[RunRecord]) -> str:
    """The network whose linear head is best on the mean over other families' sets, of those that ran on nearly all of them: means
    over a few sets are no match for means over all."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    for one in records:
        if one.head.name == "linear" and not one.recipe.finetune and one.backbone.family != "handcrafted":
            found[one.backbone.name].append(one.quality() or 0.0)
    most = max(map(len, found.values()))
    wide = [name for name, values in found.items() if len(values) >= NEARLY_ALL * most]
    return max(wide, key=lambda name: statistics.fmean(found[name]))


def prior_without(runs: Path, kept: set[str], place: Path) -> Path:
    """A folder of records that holds those of `kept` data sets alone."""
    place.mkdir()
    for name in sorted(kept):
        if (runs / name).is_dir():
            (place / name).symlink_to(runs / name)
    return place


def probe_of(here: Sequence[RunRecord], backbone: str, fold: int, threads: int) -> dict[str, Any] | None:
    """The linear head on one network, as its record has it."""
    found = [
        one
        for one in here
        if one.head.name == "linear" and one.backbone.name == backbone and not one.recipe.finetune
    ]
    return _arm(found, fold, threads) if found else None


def frozen_of(here: Sequence[RunRecord], fold: int, threads: int) -> dict[str, Any] | None:
    """The best on the validation part of all frozen pairs."""
    found = [
        one
        for one in here
        if not one.recipe.finetune and one.head.name not in LEFT_OUT and one.fold_qualities().get(fold)
    ]
    return _arm(found, fold, threads) if found else None


def _arm(found: Sequence[RunRecord], fold: int, threads: int) -> dict[str, Any]:
    best = max(found, key=lambda one: one.fold_qualities(part="validation").get(fold, 0.0))
    features = {one.backbone.name: one.timing.features_s for one in found}
    trained = sum((one.timing.training_s + one.timing.evaluation_s) / max(len(one.folds), 1) for one in found)
    return {
        "accuracy": best.fold_qualities()[fold],
        "seconds": round(threads * (sum(features.values()) + trained), 1),
        "pair": f"{best.backbone.name} × {best.head.name}",
        "pairs": len(found),
    }


def tuned_for(data_set: DataSet, name: str, budget_s: float, fold: int, settings: Settings) -> dict[str, Any]:
    """The network fine-tuned for as many epochs of its default recipe as fit into the budget."""
    begin = time.process_time()
    backbone, device, part = (
        open_backbone(name, settings),
        choose_device(settings.device),
        data_set.fold("folds", fold),
    )
    some = part.indices("train")[:WARMED]
    backbone.extract([data_set.read_image(int(i)) for i in some])
    before = time.process_time()
    backbone.extract([lambda i=i: data_set.read_image(int(i)) for i in some])  # type: ignore[misc]
    image_s = (time.process_time() - before) / len(some)
    n_train, n_judged = len(part.indices("train")), len(part) - len(part.indices("train"))
    left = SHARE * budget_s - (time.process_time() - begin) - len(part) * image_s
    epochs = min(max(int(left / ((BACKWARD_COST * n_train + n_judged) * image_s)), 1), MOST_EPOCHS)
    precision = choose_precision(settings.precision, device)
    recipe = recipe_for("linear", data_set.task, settings, precision=precision, epochs=epochs, finetune=True)
    result = HEADS["linear"]().train(TrainingJob(part, backbone, recipe, 0, device))
    seconds = time.process_time() - begin
    accuracy = result.final.metrics["accuracy"]
    return {
        "accuracy": accuracy,
        "seconds": round(seconds, 1),
        "pair": f"{name} × linear (fine-tuned)",
        "epochs": epochs,
    }


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over the sets, and on how many `fit` is ahead of (or level with) each other arm."""
    told: dict[str, Any] = {
        "mean": {"fit": statistics.fmean(row["fit"]["accuracy"] for row in rows)},
        "fit_against": {},
    }
    for arm in ("probe", "frozen", "tuned"):
        # Records hold five digits.
        both = [
            (round(row["fit"]["accuracy"], 4), round(row[arm]["accuracy"], 4)) for row in rows if row[arm]
        ]
        if both:
            told["mean"][arm] = statistics.fmean(other for _, other in both)
            told["fit_against"][arm] = {
                "sets": len(both),
                "ahead": sum(fit > other for fit, other in both),
                "level": sum(fit == other for fit, other in both),
                "mean_difference": statistics.fmean(fit - other for fit, other in both),
            }
    return told


def line_of(row: dict[str, Any]) -> str:
    """One set as a line."""
    arms = [
        f"{arm} {row[arm]['accuracy']:.4f} ({row[arm]['seconds']:.0f} s)"
        for arm in ("fit", "probe", "frozen", "tuned")
        if row[arm]
    ]
    return f"{row['set']}: " + ", ".join(arms)


if __name__ == "__main__":
    run_command(main)
