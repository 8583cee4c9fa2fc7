"""zoo.py masks: how good a kept model's masks are, to look at."""

from __future__ import annotations

from pathlib import Path

import click

from lib.command_line import FILE, echo_json, json_option, kept_model_options, terminal
from lib.config import Settings


@click.command()
@click.option("--run", "run", required=True, help="Key of a kept run, or its beginning; see `models`.")
@click.option("--dataset", "data_set", required=True, help="The data set it was trained on.")
@click.option("--png", "picture", type=FILE, help="Where to draw them.")
@kept_model_options
@json_option
def masks(settings: Settings, run: str, data_set: str, picture: Path | None, as_json: bool) -> None:
    """Image, truth, answer and error of the best, median and worst test images, and Dice by the size of defects.

    Dice is that of an image's own size, the mean over its classes.
    """
    from rich.progress import track

    from lib.datasets import load_data_set
    from lib.files import refuse_output
    from lib.inference.judging import MaskJudge, dice_of
    from lib.inference.models import load_model
    from lib.reporting.mask_pictures import (
        AnsweredImage,
        ShownImage,
        answered_json,
        answered_table,
        draw_masks,
        picked,
    )

    loaded = load_data_set(data_set, settings)
    if picture:
        refuse_output(picture, ".png", [loaded.root])
    judge = MaskJudge.of(load_model(run, settings), loaded)
    rows = judge.data_set.indices("test").tolist()
    answered = []
    for index in track(rows, "images", console=terminal(stderr=True), transient=True):
        _, truth, answer = judge.answered(index)
        share = float(truth.any(axis=0).mean())
        answered.append(AnsweredImage(judge.data_set.files[index], dice_of(truth, answer), share))
    chosen = picked(answered)
    if picture:
        shown = [
            ShownImage(f"{name}: {answered[i].file}, Dice {answered[i].dice:.2f}", *judge.answered(rows[i]))
            for i, name in chosen.items()
        ]
        draw_masks(shown, answered, loaded.classes, str(judge.model.card), picture)
    if as_json:
        return echo_json(answered_json(answered))
    terminal().print(answered_table(answered, chosen))
    if picture:
        click.echo(f"wrote {picture}")
