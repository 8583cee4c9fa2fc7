"""`zoo.py ablate`: what one choice of training is worth, measured with everything else alike."""

from __future__ import annotations

import functools
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lib.benchmark.request_options import request_options
from lib.command_line import (
    FILE,
    echo_json,
    json_option,
    metric_option,
    terminal,
    weights_options,
)
from lib.commands.sweeping import warn
from lib.config import Settings
from lib.files import refuse_output

if TYPE_CHECKING:
    from lib.benchmark.selection import Request
    from lib.records.schema import Metric


@click.command()
@weights_options
@request_options
@click.option(
    "--over",
    required=True,
    help="augmentation, loss, schedule, sampling, tta, upscale, weights, or any setting: finetune.layer_decay.",
)
@click.option(
    "--value", "values", multiple=True, help="Repeated; the others are compared with the first [all known]."
)
@click.option("--png", type=FILE, help="Draw the result into this file.")
@metric_option()
@json_option
def ablate(
    settings: Settings,
    request: Request,
    skip_failed: bool,
    over: str,
    values: tuple[str, ...],
    png: Path | None,
    metric: Metric | None,
    as_json: bool,
) -> None:
    """Runs the same cells once for each value of one setting, and compares: with seeds, folds and intervals.

    Interrupt it at any time: the same command goes on where it stopped.
    """
    from lib.benchmark.ablation import run_variant, variants
    from lib.reporting.ablation import ablation_rows, ablation_table, draw_ablation, verdict
    from lib.reporting.watching import watching

    if png:
        refuse_output(png, ".png", [])
    planned = list(variants(over, values, request, settings, skip_failed))
    say = functools.partial(click.echo, err=as_json)
    found = {}
    for variant in planned:
        warn(variant.sweep.warnings)
        say(f"{over} = {variant.value}")
        with watching(terminal(stderr=as_json), say) as listener:
            found[variant.value] = run_variant(variant, listener)
    rows = ablation_rows(found, metric)
    if png and rows:
        draw_ablation(rows, over, png)
    if as_json:
        return echo_json([asdict(row) for row in rows])
    terminal().print(ablation_table(rows, over))
    click.echo(verdict(rows, over))
    for record in (r for records in found.values() for r in records if r.status != "finished"):
        click.echo(f"{record.status}: {record.backbone.name} × {record.head.name}: {record.reason}")
