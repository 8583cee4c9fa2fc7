"""`zoo.py curves`: loss and metric of finished runs over their epochs, as a picture and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lib.command_line import (
    FILE,
    echo_json,
    json_option,
    metric_option,
    names_option,
    settings_options,
    terminal,
)
from lib.config import Settings
from lib.files import refuse_output

if TYPE_CHECKING:
    from lib.records.schema import Metric


@click.command()
@click.option("--dataset", "data_set", required=True, help="Data set of the runs, by name.")
@names_option("--run", "keys", "Runs by key or its beginning; lists [the best 12 on validation].")
@metric_option("What is drawn beside the loss [accuracy; masks: dice].")
@click.option("--png", type=FILE, help="Draw the curves into this file.")
@json_option
@settings_options
def curves(
    settings: Settings,
    data_set: str,
    keys: tuple[str, ...],
    metric: Metric | None,
    png: Path | None,
    as_json: bool,
) -> None:
    """How runs came to what they reached: train loss, validation and test metric after each epoch, means over the folds."""
    from lib.records import RecordStore
    from lib.reporting.curves import curves_of, curves_table, draw_curves

    if png:
        refuse_output(png, ".png", [settings.runs_dir])
    found = curves_of(RecordStore(settings.runs_dir).read_all()[0], data_set, keys, metric)
    if png:
        draw_curves(found, png)
    if as_json:
        return echo_json({**asdict(found), "png": png})
    terminal().print(curves_table(found))
    if found.left_out:
        click.echo(f"{found.left_out} more runs are not shown: name them with --run")
    if png:
        click.echo(f"wrote {png}")
