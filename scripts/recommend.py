"""Which pretrained network with which head to train on the images of a folder, how good it will get, and how sure that is."""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # matrices are tiny: threads cost more than they bring

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from lib.command_line import (
    DURATION,
    POSITIVE,
    domains_option,
    echo_json,
    epoch_option,
    json_option,
    metric_option,
    run_command,
    settings_options,
    task_option,
    tell_skipped,
)
from lib.config import Settings
from lib.errors import TooLittleDataError
from lib.records.schema import PROBE_S

if TYPE_CHECKING:
    from lib.datasets import DataSet
    from lib.performance_prediction.boosting.evidence import Evidence
    from lib.records import DataSetFacts, RunRecord
    from lib.records.schema import Metric, Task


@click.command()
@click.argument("data_set_dir")
@click.option(
    "--top", default=5, show_default=True, type=click.IntRange(min=1), help="How many pairs to show."
)
@click.option("--max-latency-ms", type=POSITIVE, help="Slowest allowed, one image.")
@click.option(
    "--max-parameters", type=click.IntRange(min=1), help="Largest allowed, backbone and head together."
)
@click.option("--max-train-time", type=DURATION, help="Longest training allowed: 90s, 10m, 1h.")
@domains_option("Learn only from data sets of these domains [all].")
@task_option("[the folder's own]")
@epoch_option()
@metric_option()
@click.option(
    "--suggest", type=click.IntRange(min=1), help="Also say which N pairs to run next on this very data set."
)
@click.option(
    "--probe",
    "probe_s",
    type=DURATION,
    is_flag=False,
    flag_value=str(PROBE_S),
    help="First measure cheap pairs on a sample of the images, within a time for 500 of them [20s]; needs labels or masks.",
)
@json_option
@settings_options
def recommend(
    data_set_dir: str,
    top: int,
    max_latency_ms: float | None,
    max_parameters: int | None,
    max_train_time: float | None,
    domains: tuple[str, ...],
    task: Task | None,
    epoch: int | None,
    metric: Metric | None,
    suggest: int | None,
    probe_s: float | None,
    as_json: bool,
    settings: Settings,
) -> None:
    """Rank backbone × head for the images in DATA_SET_DIR; labels help but are not needed. No network is loaded unless --probe."""
    from lib.performance_prediction.boosting.probe_choice import with_probes
    from lib.recommendation.recommend import Limits, next_runs
    from lib.recommendation.recommend import recommend as answer_for

    data_set, new = _folder(data_set_dir, task, settings)
    evidence = _evidence(new, epoch, domains, metric, settings, data_set_dir)
    probed: tuple[RunRecord, ...] = ()
    if probe_s and data_set.task == new.task:
        evidence = with_probes(evidence, probe_s)
        probed = _probed(data_set, evidence, settings)
    limits = Limits(max_latency_ms, max_parameters, max_train_time)
    answer = answer_for(evidence, new, settings.out_dir, top, limits, probed)
    plan = next_runs(evidence, new, suggest, probed) if suggest else None
    if as_json:
        echo_json({**answer.model_dump(mode="json"), **({"next_runs": asdict(plan)} if plan else {})})
        return
    from rich.console import Console

    from lib.reporting.recommendation import plan_view, recommendation_view

    Console().print(recommendation_view(answer))
    if plan:
        Console().print(plan_view(plan, data_set_dir))


def _folder(folder: str, task: Task | None, settings: Settings) -> tuple[DataSet, DataSetFacts]:
    """The folder and its facts. Masks asked for as classification are read as defect / no defect; a folder without masks
    asked for as segmentation counts as unlabelled."""
    from lib.datasets import load_data_set
    from lib.features.meta import data_set_facts

    data_set = load_data_set(folder, settings, unlabelled=True)
    if task == "classification" and data_set.task == "segmentation":
        data_set = load_data_set(f"{folder.rstrip('/')}@defect", settings)
    facts = data_set_facts(data_set)
    if task and task != facts.task:
        facts = facts.model_copy(update={"task": task, "classes": ()})
    return data_set, facts


def _probed(data_set: DataSet, evidence: Evidence, settings: Settings) -> tuple[RunRecord, ...]:
    """What probing the folder measures; empty, with a warning, where it cannot be probed. Only here a network is loaded."""
    from rich.console import Console

    from lib.benchmark.probing import probe

    with Console(stderr=True).status("probing …") as status:

        def show(backbone: str, done: int, total: int) -> None:
            status.update(f"probing with {backbone}: {done} of {total} images")

        backbones, heads = (tuple(dict.fromkeys(names)) for names in zip(*evidence.probed, strict=True))
        found = probe(data_set, settings, backbones, heads, on_images=show)
    for sentence in found.warnings:
        click.secho(f"warning: {sentence}", err=True, fg="yellow")
    return found.records


def _evidence(
    new: DataSetFacts,
    epoch: int | None,
    domains: tuple[str, ...],
    metric: Metric | None,
    settings: Settings,
    folder: str,
) -> Evidence:
    from lib.performance_prediction.boosting.evidence import read_evidence

    try:
        return read_evidence(settings, epoch, domains, new.task, metric, tell_skipped)
    except TooLittleDataError as error:
        masks = new.task == "segmentation"
        head = "deeplabv3plus" if masks else "linear"
        other = " For an answer about defect / no defect instead, add --task=classification." if masks else ""
        raise TooLittleDataError(
            f"{error}. To measure on this very data set: `scripts/zoo.py run --dataset {folder} --backbone resnet18 "
            f"--head {head}`.{other}"
        ) from error


if __name__ == "__main__":
    run_command(recommend)
