"""What every question about a folder starts from: the folder and its facts, what a probe measures, the runs that answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from lib.command_line import tell_skipped
from lib.config import Settings
from lib.errors import TooLittleDataError

if TYPE_CHECKING:
    from lib.datasets import DataSet
    from lib.performance_prediction.boosting.evidence import Evidence
    from lib.records import DataSetFacts, RunRecord
    from lib.records.schema import Metric, Task


def asked_folder(folder: str, task: Task | None, settings: Settings) -> tuple[DataSet, DataSetFacts]:
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


def probed_records(data_set: DataSet, settings: Settings) -> tuple[RunRecord, ...]:
    """What probing the folder measures; empty, with a warning, where it cannot be probed. Only here a network is loaded."""
    from rich.console import Console

    from lib.benchmark.probing import probe

    with Console(stderr=True).status("probing …") as status:

        def show(backbone: str, done: int, total: int) -> None:
            status.update(f"probing with {backbone}: {done} of {total} images")

        found = probe(data_set, settings, on_images=show)
    for sentence in found.warnings:
        click.secho(f"warning: {sentence}", err=True, fg="yellow")
    return found.records


def evidence_for(
    new: DataSetFacts,
    epoch: int | None,
    domains: Sequence[str],
    metric: Metric | None,
    settings: Settings,
    folder: str,
) -> Evidence:
    """The runs that answer for `new`; raises TooLittleDataError, saying what to run on `folder`, where there are none."""
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
