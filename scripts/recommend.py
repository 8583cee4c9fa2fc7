"""Which pretrained network with which head to train on the images of a folder, how good it will get, and how sure that is."""

from __future__ import annotations

import os

os.environ.setdefault(
    "OPENBLAS_NUM_THREADS", "1"
)  # matrices are tiny here: threads cost more than they bring

from typing import TYPE_CHECKING, Any

import click

from lib.command_line import echo_json, run_command, settings_options
from lib.config import Settings
from lib.errors import TooLittleDataError

if TYPE_CHECKING:
    from lib.datasets import DataSet
    from lib.performance_prediction.boosting.evidence import Evidence
    from lib.recommendation.next_runs import RunPlan
    from lib.records import DataSetFacts, RunRecord


@click.command()
@click.argument("data_set_dir")
@click.option(
    "--top", default=5, show_default=True, type=click.IntRange(min=1), help="How many pairs to show."
)
@click.option(
    "--max-latency-ms", type=click.FloatRange(min=0, min_open=True), help="Slowest allowed, one image."
)
@click.option(
    "--max-parameters", type=click.IntRange(min=1), help="Largest allowed, backbone and head together."
)
@click.option("--domain", help="Learn only from data sets of this domain [all].")
@click.option("--task", type=click.Choice(["classification", "segmentation"]), help="[the folder's own]")
@click.option("--epoch", type=click.IntRange(min=1), help="Quality after this epoch [each run's last].")
@click.option(
    "--suggest", type=click.IntRange(min=1), help="Also say which N pairs to run next on this very data set."
)
@click.option(
    "--probe",
    is_flag=True,
    help="Also probe a few hundred of the images with a small pretrained network (seconds); needs labels.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@settings_options
def recommend(
    data_set_dir: str,
    top: int,
    max_latency_ms: float | None,
    max_parameters: int | None,
    domain: str | None,
    task: Any,
    epoch: int | None,
    suggest: int | None,
    probe: bool,
    as_json: bool,
    settings: Settings,
) -> None:
    """Rank backbone × head for the images in DATA_SET_DIR; labels help but are not needed. No network is loaded unless --probe."""
    from lib.recommendation.recommend import Limits
    from lib.recommendation.recommend import recommend as answer_for
    from lib.records import RecordStore

    new = _facts(data_set_dir, task, settings, probe)
    store = RecordStore(settings.runs_dir)
    records, broken = store.read_all()
    facts, broken_facts = store.read_facts()
    for entry in [*broken, *broken_facts]:
        click.echo(f"note: skipped {entry.path}: {entry.reason}", err=True)
    if new.landmarks and not any(entry.landmarks for entry in facts.values()):
        _warn(
            "probing is of no use yet: no known data set has landmarks (`scripts/zoo.py probe` fills them in)"
        )
        new = new.model_copy(update={"landmarks": {}})
    evidence = _evidence(records, new, epoch, domain, settings, data_set_dir)
    answer = answer_for(evidence, facts, new, settings.out_dir, top, Limits(max_latency_ms, max_parameters))
    plan = _plan(evidence, facts, new, suggest)
    if as_json:
        echo_json({**answer.model_dump(mode="json"), **({"next_runs": plan} if plan else {})})
        return
    from rich.console import Console

    from lib.reporting.recommendation import plan_view, recommendation_view

    Console().print(recommendation_view(answer))
    if plan:
        Console().print(plan_view(plan, data_set_dir))


def _plan(
    evidence: Evidence, facts: dict[str, DataSetFacts], new: DataSetFacts, count: int | None
) -> RunPlan | None:
    if count is None:
        return None
    from lib.recommendation.next_runs import next_runs

    return next_runs(evidence, facts, new, count)


def _facts(folder: str, task: str | None, settings: Settings, probe: bool = False) -> DataSetFacts:
    """Facts of the folder. Masks asked for as classification are read as defect / no defect; a folder without masks
    asked for as segmentation counts as unlabelled. Landmarks only where asked for: what is told must be what was judged."""
    from lib.datasets import load_data_set
    from lib.features.meta import data_set_facts

    data_set = load_data_set(folder, settings, unlabelled=True)
    if task == "classification" and data_set.task == "segmentation":
        data_set = load_data_set(f"{folder.rstrip('/')}@defect", settings)
    facts = data_set_facts(data_set)
    if task and task != facts.task:
        return facts.model_copy(update={"task": task, "classes": ()})
    return facts.model_copy(update={"landmarks": _landmarks(data_set, settings)}) if probe else facts


def _landmarks(data_set: DataSet, settings: Settings) -> dict[str, float]:
    """Landmarks of the folder; empty, with a warning, where it cannot be probed. Only here a network is loaded."""
    from rich.console import Console

    from lib.zoo.probing import probe

    with Console(stderr=True).status("probing …") as status:
        found = probe(
            data_set,
            settings,
            on_images=lambda name, done, total: status.update(
                f"probing with {name}: {done} of {total} images"
            ),
        )
    for sentence in found.warnings:
        _warn(sentence)
    return found.landmarks


def _warn(sentence: str) -> None:
    click.secho(f"warning: {sentence}", err=True, fg="yellow")


def _evidence(
    records: list[RunRecord],
    new: DataSetFacts,
    epoch: int | None,
    domain: str | None,
    settings: Settings,
    folder: str,
) -> Evidence:
    from lib.performance_prediction.boosting.evidence import gather_evidence

    try:
        return gather_evidence(records, epoch, domain, new.task, settings.related_data_sets)
    except TooLittleDataError as error:
        head = "deeplabv3plus" if new.task == "segmentation" else "linear"
        other = (
            " For an answer about defect / no defect instead, add --task=classification."
            if new.task == "segmentation"
            else ""
        )
        raise TooLittleDataError(
            f"{error}. To measure on this very data set: `scripts/zoo.py run --dataset {folder} --backbone resnet18 "
            f"--head {head}`.{other}"
        ) from error


if __name__ == "__main__":
    run_command(recommend)
