"""Data sets: list, check, describe, download, make a sample, write boxes, cut patches."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from lib.command_line import FILE, echo_json, json_option, run_command, seed_option, settings_options
from lib.commands.augmentations import augmentations
from lib.config import Settings
from lib.files import refuse_output

EXIT_PROBLEMS = 1
PIPED_WIDTH = 120
SET = click.argument("data_set", metavar="DIR")
SPEC_HELP = (
    "DIR is a folder, or a name below datasets_dir, with views appended if wanted: severstal@defect@train10."
)


@click.group()
def dataset() -> None:
    """Data sets on disk: what is there, what is wrong with them, what they look like, and new ones made from them."""


@dataset.command(name="list")
@click.argument("folder", required=False, type=FILE)
@json_option
@settings_options
def list_(folder: Path | None, as_json: bool, settings: Settings) -> None:
    """Data sets in FOLDER [config: datasets_dir]."""
    from lib.datasets.inventory import list_data_sets
    from lib.reporting.data_set_tables import list_table

    entries = list_data_sets(folder or settings.datasets_dir)
    echo_json([vars(entry) for entry in entries]) if as_json else _print(list_table(entries))


@dataset.command()
@SET
@json_option
@settings_options
def check(data_set: str, as_json: bool, settings: Settings) -> None:
    """Every problem of a data set at once; exits with 1 when there are any."""
    from lib.datasets.checking import check_data_set
    from lib.reporting.data_set_tables import check_text

    report = check_data_set(data_set, settings)
    echo_json(vars(report)) if as_json else click.echo(check_text(report))
    if report.problems:
        sys.exit(EXIT_PROBLEMS)


@dataset.command(epilog=SPEC_HELP)
@SET
@click.option("--png", type=FILE, help="Draw numbers and examples of each class into this file.")
@json_option
@settings_options
def describe(data_set: str, png: Path | None, as_json: bool, settings: Settings) -> None:
    """The fact sheet: parts, sizes, classes, defects, appearance, near-duplicates; unlabelled images are welcome."""
    from lib.datasets import load_data_set
    from lib.features.fact_sheet import fact_sheet
    from lib.reporting.data_set_tables import fact_sheet_text

    loaded = load_data_set(data_set, settings, unlabelled=True)
    if png:
        refuse_output(png, ".png", [loaded.root])
    sheet = fact_sheet(loaded, settings.split.near_duplicate_bits)
    if png:
        from lib.reporting.data_sets import draw_data_set

        draw_data_set(loaded, sheet, png)
    if as_json:
        echo_json({**sheet.model_dump(mode="json"), "png": png})
        return
    _print(fact_sheet_text(sheet))
    if png:
        click.echo(f"wrote {png}")


@dataset.command()
@click.argument("what", type=click.Choice(["severstal"]))
@click.option("--to", type=FILE, help="Folder to fill [datasets_dir/severstal].")
@json_option
@settings_options
def download(what: str, to: Path | None, as_json: bool, settings: Settings) -> None:
    """Kaggle's Severstal data, 12,568 images; needs an API key and the competition's rules accepted in a browser."""
    from lib.datasets.kaggle_download import download_severstal

    folder = to or settings.datasets_dir / what
    card = download_severstal(folder, quiet=as_json)
    _done(as_json, folder, f"data set {card.name}, complete", name=card.name)


@dataset.command()
@click.option("--to", type=FILE, help="Folder to fill [datasets_dir/steel_sample].")
@click.option("--images", default=120, show_default=True, type=click.IntRange(min=1))
@seed_option()
@json_option
@settings_options
def sample(to: Path | None, images: int, seed: int, as_json: bool, settings: Settings) -> None:
    """A procedural steel-strip set in Severstal's layout: drawn by a program, no credentials needed."""
    from lib.datasets.procedural import write_sample

    folder = to or settings.datasets_dir / "steel_sample"
    card = write_sample(folder, images, seed)
    sentence = f"{images} procedural images, data set {card.name}"
    _done(as_json, folder, sentence, name=card.name, images=images, procedural=True)


@dataset.command(epilog=SPEC_HELP)
@SET
@click.option("--to", type=FILE, help="File to write [DIR/annotations.json].")
@json_option
@settings_options
def prepare(data_set: str, to: Path | None, as_json: bool, settings: Settings) -> None:
    """Masks → JSON annotations: a bounding box a connected component, as in COCO."""
    from lib.datasets import load_data_set
    from lib.datasets.annotations import write_annotations

    loaded = load_data_set(data_set, settings)
    file = to or loaded.root / "annotations.json"
    refuse_output(file, ".json")
    boxes = write_annotations(loaded, file)
    _done(as_json, file, f"{boxes} boxes on {len(loaded)} images", boxes=boxes, images=len(loaded))


@dataset.command(epilog=SPEC_HELP)
@SET
@click.option(
    "--size", default=224, show_default=True, type=click.IntRange(16, 2048), help="Side of a patch, pixels."
)
@click.option(
    "--context",
    default=0.25,
    show_default=True,
    type=click.FloatRange(0, 4),
    help="Share of a defect's longer side added on each side.",
)
@click.option("--to", type=FILE, help="Folder to fill [datasets_dir/<name>_patches].")
@seed_option()
@json_option
@settings_options
def patches(
    data_set: str, size: int, context: float, to: Path | None, seed: int, as_json: bool, settings: Settings
) -> None:
    """Square patches around defects and without any, as a classification data set; parts as those of the images."""
    from lib.datasets import load_data_set
    from lib.datasets.patches import write_patches
    from lib.reporting.data_set_tables import count_table

    loaded = load_data_set(data_set, settings)
    folder = to or settings.datasets_dir / f"{loaded.name.replace('@', '_')}_patches"
    summary = write_patches(loaded, folder, size_px=size, context=context, seed=seed)
    if not as_json:
        _print(count_table(summary.counts, f"Patches of {loaded.name}"))
    _done(as_json, folder, f"data set {summary.card.name}", name=summary.card.name, counts=summary.counts)


def _done(as_json: bool, path: Path, sentence: str, **facts: object) -> None:
    if as_json:
        echo_json({"path": str(path), **facts})
    else:
        click.echo(f"wrote {path}: {sentence}")


def _print(renderable: object) -> None:
    from rich.console import Console

    console = Console()
    (console if console.is_terminal else Console(width=PIPED_WIDTH)).print(renderable)


dataset.add_command(augmentations)

if __name__ == "__main__":
    run_command(dataset)
