"""`zoo.py ssl`: a backbone goes on learning from a data set's images, without labels."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lib.command_line import (
    FILE,
    choice_option,
    echo_json,
    json_option,
    seed_option,
    terminal,
    weights_options,
)
from lib.commands.embed import data_set_option, picture_of
from lib.commands.progress import counting
from lib.config import Settings
from lib.files import refuse_output

if TYPE_CHECKING:
    from lib.features.embedding_picture import EmbeddingPicture
    from lib.records.schema import Split
    from lib.zoo.ssl.tuning import Plan
    from lib.zoo.tuned import Tuned, TunedEpoch


@click.command()
@weights_options
@data_set_option
@click.option("--backbone", required=True, help="The network to tune, as `list` names it.")
@click.option("--epochs", default=10, show_default=True, type=click.IntRange(min=1, max=10_000))
@click.option("--train", default="last-2", show_default=True, help="all, lora, or last-N blocks.")
@choice_option("--split", "Whose first fold's test images take no part.", "folds", "own")
@click.option("--transductive", is_flag=True, help="Learn from test images too; every record will say so.")
@seed_option()
@click.option("--replace", is_flag=True, help="Take the place of a backbone that was tuned otherwise.")
@click.option("--png", type=FILE, help="PCA before and after [beside the tuned backbone].")
@json_option
def ssl(
    settings: Settings,
    data_set: str,
    backbone: str,
    epochs: int,
    train: str,
    split: Split,
    transductive: bool,
    seed: int,
    replace: bool,
    png: Path | None,
    as_json: bool,
) -> None:
    """Tunes a backbone by DINO's self-distillation; the result is a backbone of its own, BACKBONE+ssl@DATASET.

    It sees the train and validation images of the first fold, and no label. Interrupt it at any time: the same command goes on.
    """
    from lib.datasets import load_data_set
    from lib.zoo.ssl.tuning import Plan, Watch, tune

    loaded = load_data_set(data_set, settings, unlabelled=True)
    plan = Plan.of(
        loaded,
        backbone,
        settings,
        epochs=epochs,
        train=train,
        split=split,
        seed=seed,
        transductive=transductive,
    )
    picture = png or plan.files[0].with_suffix(".png")
    refuse_output(picture, ".png", [loaded.root])
    with counting("images of the epoch") as count:
        tuned = tune(
            plan, Watch(count, lambda entry: click.echo(epoch_line(entry, epochs), err=True)), replace
        )
    for warning in tuned.warnings:
        click.secho(f"warning: {warning}", err=True, fg="yellow")
    pictures = [picture_of(loaded, name, settings) for name in (backbone, plan.name)]
    _show(plan, tuned, pictures, picture, as_json)


def epoch_line(entry: TunedEpoch, epochs: int) -> str:
    """What an epoch has come to."""
    return (
        f"epoch {entry.epoch}/{epochs}: loss {entry.loss:.4f}, teacher entropy {entry.teacher_entropy:.3f} of "
        f"{entry.spread_entropy:.3f} nats, embedding spread {entry.embedding_spread:.3f} ({entry.seconds:.0f} s)"
    )


def _show(plan: Plan, tuned: Tuned, pictures: list[EmbeddingPicture], png: Path, as_json: bool) -> None:
    from lib.reporting.embeddings import draw_embeddings, embedding_table
    from lib.reporting.tables import readable_seconds

    draw_embeddings(pictures, png)
    if as_json:
        judged = [{k: v for k, v in asdict(one).items() if k not in ("points", "labels")} for one in pictures]
        return echo_json(
            {"name": plan.name, "files": plan.files, "png": png, "tuned": tuned, "embeddings": judged}
        )
    terminal().print(embedding_table(pictures))
    seconds = readable_seconds(sum(entry.seconds for entry in tuned.curve))
    click.echo(
        f"{plan.name}: {tuned.n_images} images, {tuned.trained_parameters:,} parameters trained, {seconds}"
    )
    click.echo(f"wrote {plan.files[0]}, its card and {png}; use it as --backbone {plan.name}")
    if not tuned.tuning.transductive and plan.data_set.labels is not None:
        click.echo(f"on {plan.data_set.name} run it with --folds 1: the other folds test images that it saw")
