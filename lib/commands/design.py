"""`zoo.py design`: which of the dear cells to run, written down before they are."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from lib.command_line import (
    FILE,
    backbones_option,
    data_sets_option,
    echo_json,
    heads_option,
    json_option,
    seed_option,
    terminal,
    weights_options,
)
from lib.config import Settings
from lib.files import refuse_output


@click.command()
@data_sets_option(True, "As for `run`: names, folders, views, all.")
@backbones_option(True, "As for `run`.")
@heads_option(True, "Columns: deeplabv3plus, `linear (fine-tuned)`, …; lists.")
@click.option(
    "--share",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.35,
    show_default=True,
    help="Of the possible cells, to learn from.",
)
@click.option(
    "--hidden",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.05,
    show_default=True,
    help="A further share, to judge on alone.",
)
@seed_option()
@click.option("--to", "path", type=FILE, required=True, help="JSON file to write; `run --design` follows it.")
@json_option
@weights_options
def design(
    data_sets: tuple[str, ...],
    backbones: tuple[str, ...],
    heads: tuple[str, ...],
    share: float,
    hidden: float,
    seed: int,
    path: Path,
    as_json: bool,
    settings: Settings,
) -> None:
    """Draws a seeded share of the cells that can work: every data set and every pair covered, some kept from the fit."""
    from lib.benchmark.designing import possible_cells
    from lib.benchmark.selection import Request
    from lib.records.design import draw_design

    refuse_output(path, ".json")
    drawn = draw_design(possible_cells(Request(data_sets, backbones, heads), settings), share, hidden, seed)
    drawn.write(path)
    if as_json:
        return echo_json(drawn)
    from rich.table import Table

    table = Table("column", "to learn from", "hidden", title=f"{drawn.possible} possible cells, seed {seed}")
    counts = [Counter(cell.column for cell in part) for part in (drawn.cells, drawn.hidden)]
    for column in drawn.names(2):
        table.add_row(column, *(str(count[column]) for count in counts))
    table.add_row("all", *(str(count.total()) for count in counts), style="bold")
    terminal().print(table)
    click.echo(f"wrote {path}")
