"""fit.py: from a folder with labels or masks to a model, a report and a card within a budget; and new images labelled by it."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lib.command_line import (
    FOLDER,
    POSITIVE,
    backbones_option,
    echo_json,
    json_option,
    metric_option,
    seed_option,
    weights_options,
)
from lib.config import Settings
from lib.errors import CvAutomlError, printable

if TYPE_CHECKING:
    from lib.fit.hearing import Watch
    from lib.inference.predict_folder import Told
    from lib.records.schema import Metric

EXIT_SOME_SKIPPED = 1
RUN = "run"


class FolderFirst(click.Group):
    """`fit.py DIR …` is `fit.py run DIR …`: the folder may come first, and so may its options."""

    def parse_args(self, context: click.Context, arguments: list[str]) -> list[str]:
        """Puts `run` in front of what begins with no command."""
        if arguments and arguments[0] not in {*self.commands, "--help"}:
            arguments = [RUN, *arguments]
        return super().parse_args(context, arguments)


@click.group(cls=FolderFirst, subcommand_metavar="[run] DIR --to OUT | predict OUT DIR2")
def fit() -> None:
    """Finds, trains and hands over the best model for the images of a folder; labels new images with it."""


@fit.command(RUN)
@click.argument("folder", metavar="DIR")
@click.option("--to", type=FOLDER, required=True, help="Folder to fill: model, card, report, records.")
@click.option("--budget", default="10m", show_default=True, help="90s, 2m, 1h: for everything together.")
@click.option("--max-latency-ms", type=POSITIVE, help="Slowest allowed, one image on this machine.")
@click.option("--max-parameters", type=click.IntRange(min=1), help="Largest allowed, all members together.")
@metric_option()
@seed_option()
@click.option("--finetune/--no-finetune", default=True, help="Whether backbones may be trained as well.")
@backbones_option(help="Only these networks; lists [all with weights on this machine].")
@json_option
@weights_options
def run(
    settings: Settings,
    folder: str,
    to: Path,
    budget: str,
    max_latency_ms: float | None,
    max_parameters: int | None,
    metric: Metric | None,
    seed: int,
    finetune: bool,
    backbones: tuple[str, ...],
    as_json: bool,
) -> None:
    """Finds the best model for DIR, a folder with labels or masks, within --budget, and writes it to --to.

    Ctrl-C keeps and exports the best so far; the same command goes on where it stopped.
    """
    began = time.perf_counter()  # loading libraries takes seconds as well
    from lib.clock import seconds_of
    from lib.fit.request import Request

    request = Request(
        folder,
        to,
        seconds_of(budget),
        max_latency_ms,
        max_parameters,
        metric,
        seed,
        finetune,
        backbones,
    )
    from lib.fit.whole import fitted

    with _watching(as_json) as watch:
        finished = fitted(request, settings, watch, began=began)
        from lib.page.fit_page import write_fit_page

        write_fit_page(finished.out)
    if as_json:
        return echo_json(finished.report)
    _tell(finished.report, finished.out)


@contextmanager
def _watching(as_json: bool) -> Iterator[Watch]:
    """Lines that stay, and on a terminal one that says what is going on."""
    from rich.console import Console

    from lib.fit.hearing import Watch

    console = Console(stderr=True)
    say = functools.partial(click.echo, err=as_json)
    if not console.is_terminal:
        yield Watch(lambda sentence: say(printable(sentence)))
        return
    from rich.markup import escape

    with console.status("…") as status:
        yield Watch(lambda s: say(printable(s)), lambda s: status.update(escape(printable(s))))


def _tell(report: dict[str, Any], out: Path) -> None:
    test, costs = report["test"], report["costs"]
    interval = "" if test["low"] is None else f" (95 %: {test['low']:.4f} to {test['high']:.4f})"
    value = "not measured" if test["value"] is None else f"{test['value']:.4f}{interval}"
    click.echo(
        printable(f"{report['chosen']['pair']}: {test['metric']} on {test['n_test']} test images {value}")
    )
    click.echo(
        f"{costs['parameters']:,} parameters, {costs['model_bytes'] / 1e6:.1f} MB, {costs['latency_ms']:.1f} ms an image; "
        f"took {costs['seconds']:.0f} of {costs['budget_s']:.0f} s"
    )
    looks = report["second_look"]["rows"]
    if looks:
        click.echo(f"{len(looks)} images are worth a second look: {out / 'second_look.csv'}")
    for sentence in report["warnings"]:
        click.secho(f"warning: {printable(sentence)}", err=True, fg="yellow")
    click.echo(f"wrote {out}: " + ", ".join(sorted(p.name for p in out.iterdir() if p.is_file())))


@fit.command()
@click.argument("model", metavar="OUT", type=FOLDER)
@click.argument("folder", metavar="DIR2", type=FOLDER)
@click.option("--to", type=FOLDER, help="Folder to fill [OUT/predictions/<name of DIR2>].")
@json_option
def predict(model: Path, folder: Path, to: Path | None, as_json: bool) -> None:
    """Labels every image below DIR2 with the model in OUT, with ONNX Runtime alone: a table, of masks pictures too.

    Warns of images unlike those the model was trained on. Exits with 1 when images could not be read.
    """
    to = to or model / "predictions" / folder.name
    _refuse(model, folder, to)
    from lib.commands.predict import progress_bar
    from lib.inference import predict_folder

    try:
        with progress_bar() as progress:
            opened = predict_folder.Model(model / "model.onnx")
            told = predict_folder.predict(opened, folder, to, progress)
    except ValueError as error:
        raise CvAutomlError(str(error)) from error
    for sentence in predict_folder.warnings_of(told):
        click.secho(f"warning: {printable(sentence)}", err=True, fg="yellow")
    echo_json(vars(told)) if as_json else _tell_predicted(told, opened.facts["model"])
    if told.skipped:
        raise click.exceptions.Exit(EXIT_SOME_SKIPPED)


def _refuse(model: Path, folder: Path, to: Path) -> None:
    if not (model / "model.onnx").is_file():
        raise CvAutomlError(
            f"{model}: there is no model.onnx in it; name the folder that `fit.py DIR --to` filled"
        )
    if not folder.is_dir():
        raise CvAutomlError(f"{folder}: no folder of images")
    if to.resolve().is_relative_to(folder.resolve()):
        raise CvAutomlError(f"{to} lies in {folder}, which is only read: write somewhere else with --to")


def _tell_predicted(told: Told, name: str) -> None:
    found = ", ".join(f"{one} {n}" for one, n in sorted(told.counts.items())) or "nothing"
    click.echo(printable(f"{name}: {told.images} images; found: {found}"))
    click.echo(f"wrote {told.table}")
