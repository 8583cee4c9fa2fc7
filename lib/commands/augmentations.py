"""`dataset.py augmentations`: what a recipe of augmentation does to one's own images, to look at before training on them."""

from __future__ import annotations

from pathlib import Path

import click

from lib.command_line import FILE, echo_json, json_option, seed_option, settings_options
from lib.config import Settings
from lib.files import refuse_output


@click.command()
@click.argument("data_set", metavar="DIR")
@click.option("--recipe", default="light", show_default=True, help="One of config.yaml's augmentations.")
@click.option("--png", type=FILE, required=True, help="File to draw into.")
@click.option("--images", default=4, show_default=True, type=click.IntRange(1, 20), help="Rows.")
@seed_option()
@json_option
@settings_options
def augmentations(
    data_set: str, recipe: str, png: Path, images: int, seed: int, as_json: bool, settings: Settings
) -> None:
    """Draws images of the train part as they are and as training would see them, masks outlined."""
    from lib.datasets import load_data_set
    from lib.reporting.augmentations import draw_augmentations
    from lib.zoo.augmentation import steps_of

    loaded = load_data_set(data_set, settings)
    refuse_output(png, ".png", [loaded.root])
    steps = steps_of(recipe, settings, with_masks=loaded.read_mask is not None)
    draw_augmentations(loaded, recipe, steps, png, images, seed)
    if as_json:
        return echo_json({"data_set": loaded.name, "recipe": recipe, "transforms": steps, "png": png})
    click.echo(f"wrote {png}: {recipe}, {steps}")
