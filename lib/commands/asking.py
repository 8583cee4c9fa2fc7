"""What every question about a folder starts from: the folder and its facts, what a probe measures, the runs that answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from lib.clock import seconds_of
from lib.command_line import DURATION, tell_skipped
from lib.config import Settings
from lib.errors import CvAutomlError, TooLittleDataError
from lib.records.schema import PROBE_IMAGES, PROBE_S

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


class ProbingCommand(click.Command):
    """A command with `probe_option`: `--probe` that no time follows takes its own, so that `--probe DIR` asks of DIR."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does, with the default time put in."""
        follows = [*args[1:], ""]
        timed = [
            f"{one}={PROBE_S:g}" if one == "--probe" and not _is_time(after) else one
            for one, after in zip(args, follows, strict=False)
        ]
        return super().parse_args(ctx, timed)


def _is_time(text: str) -> bool:
    try:
        return seconds_of(text) > 0
    except CvAutomlError:
        return False


probe_option = click.option(
    "--probe",
    "probe_s",
    type=DURATION,
    help=f"First measure cheap pairs on at most {PROBE_IMAGES} of the images, within a time [{PROBE_S:g}s]; needs labels or masks.",
)
"""Adds --probe to a ProbingCommand; it receives `probe_s: float | None`."""


def probed_records(
    data_set: DataSet, new: DataSetFacts, evidence: Evidence, probe_s: float | None, settings: Settings
) -> tuple[Evidence, tuple[RunRecord, ...]]:
    """The evidence with what is to be probed in `probe_s` seconds, and what probing the folder measures: nothing where it is not
    asked for, or of another task; nothing, with a warning, where it cannot be probed. Only here a network is loaded."""
    if not probe_s or data_set.task != new.task:
        return evidence, ()
    from rich.console import Console

    from lib.benchmark.probing import probe
    from lib.performance_prediction.boosting.probe_choice import with_probes

    evidence = with_probes(evidence, probe_s)
    with Console(stderr=True).status("probing …") as status:

        def show(backbone: str, done: int, total: int) -> None:
            status.update(f"probing with {backbone}: {done} of {total} images")

        backbones, heads = (tuple(dict.fromkeys(names)) for names in zip(*evidence.probed, strict=True))
        found = probe(data_set, settings, backbones, heads, on_images=show)
    for sentence in found.warnings:
        click.secho(f"warning: {sentence}", err=True, fg="yellow")
    return evidence, found.records


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
