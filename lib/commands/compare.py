"""`zoo.py compare`: one table of all heads on one data set, and a picture of what each confuses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lib.command_line import (
    FILE,
    backbones_option,
    choice_option,
    echo_json,
    heads_option,
    json_option,
    seed_option,
    terminal,
    weights_options,
)
from lib.config import Settings
from lib.files import refuse_output

if TYPE_CHECKING:
    from lib.zoo.comparison import Comparison


@click.command()
@click.option("--dataset", "data_set", required=True, help="Name or folder of one data set, with its views.")
@backbones_option(True, "Backbones by name, handcrafted among them; lists.")
@heads_option(help="Heads by name; lists [all that suit]. `linear` is always there.")
@click.option("--epochs", type=click.IntRange(min=1), help="Epochs [config: classification.epochs].")
@click.option("--folds", type=click.IntRange(min=1), help="So many folds [all].")
@click.option(
    "--finetune", is_flag=True, help="Fine-tuned heads beside the frozen ones, on 2 folds if not told."
)
@choice_option("--split", "Cross-validation, or the set's own split.", "folds", "own")
@seed_option()
@click.option("--png", type=FILE, help="Draw all confusion matrices into this file.")
@json_option
@weights_options
def compare(
    settings: Settings, heads: tuple[str, ...], seed: int, png: Path | None, as_json: bool, **asked: Any
) -> None:
    """What each head reaches, costs and brings: accuracy with intervals, time, size, a paired test against the linear probe.

    Trains every head anew on the folds (features come from the cache); no record is written.
    """
    from lib.benchmark.comparing import compared
    from lib.benchmark.selection import Request
    from lib.reporting.compare import compare_json
    from lib.reporting.confusions import draw_confusions
    from lib.reporting.watching import on_one_line

    if png:
        refuse_output(png, ".png")
    request = Request(
        (asked.pop("data_set"),), asked.pop("backbones"), heads or ("all",), seeds=(seed,), **asked
    )
    with on_one_line(terminal(stderr=True)) as listener:
        comparison = compared(request, settings, listener)
    if png:
        draw_confusions(comparison, png)
    if as_json:
        return echo_json({**compare_json(comparison), "png": png})
    _show(comparison)
    if png:
        click.echo(f"wrote {png}")


def _show(comparison: Comparison) -> None:
    from lib.reporting.compare import compare_table, is_severstal_patches, rows_of, sentences, study_table

    rows = rows_of(comparison)
    for backbone in dict.fromkeys(row.backbone for row in rows):
        terminal().print(compare_table(rows, backbone))
    for sentence in sentences(comparison):
        click.echo(sentence)
    if is_severstal_patches(comparison.data_set):
        terminal().print(study_table())
