"""zoo.py predict and models: what a kept model says of a folder of images, and which models are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lib.command_line import FILE, FOLDER, echo_json, json_option, kept_model_options, terminal
from lib.config import Settings

if TYPE_CHECKING:
    from lib.inference.predicting import Outcome
    from lib.inference.submission import Form
    from lib.records import RunRecord

EXIT_SOME_SKIPPED = 1


@click.command()
@click.argument("folder", metavar="DIR", type=FOLDER)
@click.option("--run", "run", required=True, help="Key of a kept run, or its beginning; see `models`.")
@click.option("--out", type=FOLDER, help="Folder to fill: tables, masks, overlays.")
@click.option("--submission", type=FILE, help="A competition's CSV file.")
@click.option(
    "--form",
    type=click.Choice(["kaggle", "single"]),
    help="Of masks: ImageId,ClassId,EncodedPixels, or ImageId_ClassId,EncodedPixels [as the sample beside the images; kaggle].",
)
@kept_model_options
@json_option
def predict(
    settings: Settings,
    folder: Path,
    run: str,
    out: Path | None,
    submission: Path | None,
    form: Form | None,
    as_json: bool,
) -> None:
    """Classes or masks of every image below DIR, of DIR/test where DIR has a train part as well.

    Interrupt it at any time: the same command goes on where it stopped. Exits with 1 when images could not be read.
    """
    from lib.inference.wanted import Wanted

    wanted = Wanted(out, submission, form)
    wanted.refuse(folder)
    from lib.inference.models import load_model
    from lib.inference.predicting import predict_folder

    model = load_model(run, settings)
    if model.card.backbone.weights_origin == "random":
        click.secho(
            "warning: RANDOM WEIGHTS below this model: its answers mean nothing", err=True, fg="yellow"
        )
    with progress_bar() as on_progress:
        outcome = predict_folder(model, folder, wanted, settings.cache_dir, on_progress)
    for sentence in outcome.skipped:
        click.secho(f"skipped: {sentence}", err=True, fg="yellow")
    echo_json({"run": model.card.key, **vars(outcome)}) if as_json else _tell(outcome, str(model.card))
    if outcome.skipped:
        raise click.exceptions.Exit(EXIT_SOME_SKIPPED)


def _tell(outcome: Outcome, model: str) -> None:
    found = ", ".join(f"{name} {n}" for name, n in sorted(outcome.counts.items())) or "no defect"
    before = f" ({outcome.resumed} of them before an interruption)" if outcome.resumed else ""
    skipped = f", {len(outcome.skipped)} could not be read" if outcome.skipped else ""
    click.echo(f"{model}: {outcome.images} images{before}{skipped}; found: {found}")
    for note in outcome.notes:
        click.echo(f"note: {note}")
    for path in outcome.written:
        click.echo(f"wrote {path}")


@contextmanager
def progress_bar() -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, on standard error."""
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    console = terminal(stderr=True)
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("images", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def tell_kept(settings: Settings, records: Iterable[RunRecord], as_json: bool) -> None:
    """After a sweep that keeps models: where they are, and which could not be written."""
    for record in records:
        for note in record.notes:
            if note.startswith("its model was not kept"):
                click.secho(f"warning: {record.key}: {note}", err=True, fg="yellow")
    if settings.keep_models:
        click.echo(f"models: {settings.models_dir}, see `zoo.py models`", err=as_json)


@click.command()
@kept_model_options
@json_option
def models(settings: Settings, as_json: bool) -> None:
    """The kept models: keys for predict and export, what they were trained on, their licence where it is known."""
    from lib.inference.models import kept_models
    from lib.reporting.tables import table_of

    found, broken = kept_models(settings)
    for sentence in broken:
        click.secho(f"warning: left out {sentence}", err=True, fg="yellow")
    if as_json:
        return echo_json([{**card.model_dump(mode="json"), "size_mb": size} for card, size in found])
    rows = [
        (
            card.key,
            str(card),
            card.backbone.weights_origin,
            card.weights.licence or "not stated",
            f"{size:.1f}",
        )
        for card, size in found
    ]
    headings = ("<key", "model", "weights", "licence of the weights", ">MB")
    terminal().print(table_of(headings, rows, title=f"Kept models in {settings.models_dir}"))
