"""Pages that open from disk: build (all records), recommend (one folder), and figures (pictures as PNG and SVG)."""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # matrices are tiny: threads cost more than they bring

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from lib.command_line import (
    data_sets_option,
    domains_option,
    echo_json,
    epoch_option,
    json_option,
    metric_option,
    run_command,
    settings_options,
    task_option,
)
from lib.commands.asking import ProbingCommand, probe_option
from lib.config import Settings

if TYPE_CHECKING:
    from lib.records.schema import Metric, Task


@click.group()
def report() -> None:
    """Pages that anyone can read: one file each, which opens from disk and needs no network."""


@contextmanager
def _steps() -> Iterator[Callable[[str], None]]:
    """What is done now, on a terminal."""
    from rich.console import Console
    from rich.markup import escape

    with Console(stderr=True).status("…") as status:
        yield lambda step: status.update(escape(step))


@report.command()
@json_option
@settings_options
def build(as_json: bool, settings: Settings) -> None:
    """OUT/index.html of all records: the answer, a leaderboard to sort and filter, the quality matrix, costs, every data set.

    How good predictions have been is what `boosting.py evaluate` left in OUT; pictures OUT/masks_<data set>.png are shown.
    """
    from lib.files import refuse_output
    from lib.page.overview_page import PAGE, overview_of, write_overview

    refuse_output(settings.out_dir / PAGE, ".html")
    with _steps() as say:
        overview = overview_of(settings, say)
        say("writing …")
        page = write_overview(overview, settings.out_dir)
    lacking = [sentence for task in overview.tasks for sentence in task.lacking]
    size = page.stat().st_size
    if as_json:
        counts = {
            "records": len(overview.records),
            "data_sets": len(overview.sets),
            "troubles": len(overview.troubles),
        }
        return echo_json({"page": page, "bytes": size, **counts, "lacking": lacking})
    for sentence in lacking:
        click.echo(f"note: {sentence}")
    click.echo(
        f"wrote {page}: {len(overview.records)} records of {len(overview.sets)} data sets, {size / 1e6:.1f} MB"
    )


@report.command(cls=ProbingCommand)
@click.argument("data_set_dir")
@click.option(
    "--top", default=10, show_default=True, type=click.IntRange(min=1), help="How many pairs to show."
)
@click.option(
    "--suggest", default=5, show_default=True, type=click.IntRange(min=1), help="How many runs to name."
)
@domains_option("Learn only from data sets of these domains [all].")
@task_option("[the folder's own]")
@epoch_option()
@metric_option()
@probe_option
@json_option
@settings_options
def recommend(
    data_set_dir: str,
    top: int,
    suggest: int,
    domains: tuple[str, ...],
    task: Task | None,
    epoch: int | None,
    metric: Metric | None,
    probe_s: float | None,
    as_json: bool,
    settings: Settings,
) -> None:
    """OUT/recommend_<name>.html of the images in DATA_SET_DIR: ranked pairs and why, what to run next, their fact sheet."""
    from lib.commands.asking import asked_folder, evidence_for, probed_records
    from lib.files import refuse_output
    from lib.page.folder_answer import folder_answer
    from lib.page.folder_page import folder_page_name, write_folder_page

    data_set, new = asked_folder(data_set_dir, task, settings)
    path = settings.out_dir / folder_page_name(new.name)
    refuse_output(path, ".html", [data_set.root])
    evidence = evidence_for(new, epoch, domains, metric, settings, data_set_dir)
    evidence, probed = probed_records(data_set, new, evidence, probe_s, settings)
    with _steps() as say:
        found = folder_answer(data_set_dir, data_set, new, evidence, probed, settings, (top, suggest), say)
        page = write_folder_page(found, path)
    if as_json:
        return echo_json({"page": page, "bytes": page.stat().st_size, **found.answer.model_dump(mode="json")})
    for sentence in (*found.answer.warnings, *found.lacking):
        click.echo(f"warning: {sentence}")
    first = found.answer.candidates[0]
    click.echo(
        f"{first.pair.label}: {found.answer.metric} {first.quality:.3f}, 90 % {first.low:.2f} to {first.high:.2f}"
    )
    click.echo(f"wrote {page}")


@report.command()
@data_sets_option(help="Also the curves and confusions of these data sets, by name; lists.")
@json_option
@settings_options
def figures(data_sets: tuple[str, ...], as_json: bool, settings: Settings) -> None:
    """OUT/figures/*.png and *.svg in one style: best pairs, quality matrix, quality against cost, predicted against measured."""
    from lib.page.figures import write_figures
    from lib.page.overview_page import overview_of

    with _steps() as say:
        files = write_figures(overview_of(settings, say), data_sets, settings.out_dir / "figures", say)
    echo_json({"files": files}) if as_json else click.echo("\n".join(f"wrote {file}" for file in files))


if __name__ == "__main__":
    run_command(report)
