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
)
from lib.commands.asking import ProbingCommand, probe_option
from lib.config import Settings

if TYPE_CHECKING:
    from lib.records.schema import Metric, Task


@click.command(cls=ProbingCommand)
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
@probe_option
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
    from lib.commands.asking import asked_folder, evidence_for, probed_records
    from lib.recommendation.recommend import Limits, next_runs
    from lib.recommendation.recommend import recommend as answer_for

    data_set, new = asked_folder(data_set_dir, task, settings)
    evidence = evidence_for(new, epoch, domains, metric, settings, data_set_dir)
    evidence, probed = probed_records(data_set, new, evidence, probe_s, settings)
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


if __name__ == "__main__":
    run_command(recommend)
