"""The zoo of backbones × heads: what it holds (list), what a sweep would do (plan), sweeps (run), leaderboards (show), what is unsound (doctor)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lib.benchmark.request_options import request_options
from lib.command_line import (
    FOLDER,
    choice_option,
    data_sets_option,
    echo_json,
    engine_options,
    epoch_option,
    json_option,
    metric_option,
    run_command,
    settings_options,
    shard_option,
    terminal,
    weights_options,
)
from lib.commands.ablate import ablate
from lib.commands.compare import compare
from lib.commands.curves import curves
from lib.commands.design import design
from lib.commands.embed import embed
from lib.commands.generate import generate
from lib.commands.masks import masks
from lib.commands.predict import models, predict, tell_kept
from lib.commands.results import results
from lib.commands.ssl import ssl
from lib.commands.sweeping import Policy, show_plan, warn
from lib.commands.tracking import tracker_options
from lib.config import Settings

if TYPE_CHECKING:
    from lib.benchmark.selection import Request
    from lib.records import RunRecord
    from lib.records.schema import Metric

EXIT_SOME_FAILED = 1
SORT_HELP = "quality: on the validation parts; the test parts order nothing."


@click.group()
def zoo() -> None:
    """Trains backbones × heads on data sets, and keeps every run as a record."""


@zoo.command("list")
@weights_options
@click.option("--check", is_flag=True, help="Check what every head must do instead, on made-up data.")
@json_option
def list_command(settings: Settings, check: bool, as_json: bool) -> None:
    """Backbones (input, width, parameters, pretraining, where their weights are) and heads."""
    if check:
        from lib.zoo.checks import print_checked_heads

        raise click.exceptions.Exit(print_checked_heads(click.echo))
    from lib.reporting.benchmark import backbone_entries, backbone_table, head_entries, head_table

    backbones, heads = backbone_entries(settings), head_entries()
    if as_json:
        rows = [entry.info.model_dump() | {"weights": entry.weights} for entry in backbones]
        return echo_json({"backbones": rows, "heads": [asdict(entry) for entry in heads]})
    terminal().print(backbone_table(backbones), head_table(heads))
    for missing in [entry.reason for entry in backbones if entry.reason][:1]:
        click.echo(f"missing weights, e.g.: {missing}")


@zoo.command()
@weights_options
@request_options
@shard_option
@json_option
def plan(settings: Settings, request: Request, skip_failed: bool, shard: str | None, as_json: bool) -> None:
    """Shows the cells of a sweep: done, incompatible (why) or to do, and how long they will take. Runs nothing."""
    from lib.benchmark.prepare import prepared

    show_plan(prepared(request, settings, skip_failed=skip_failed, shard=shard), as_json)


@zoo.command()
@weights_options
@request_options
@click.option("--dry-run", is_flag=True, help="Show the plan, run nothing.")
@click.option(
    "--budget",
    help="90s, 30m, 2h: only as many cells as fit, those with the highest expected gain a second first.",
)
@metric_option()
@click.option(
    "--keep-models", is_flag=True, help="Keep each run's first fold as a model, for predict and export."
)
@shard_option
@engine_options
@tracker_options
@json_option
def run(
    settings: Settings,
    request: Request,
    skip_failed: bool,
    shard: str | None,
    how: dict[str, Any],
    tracked: Callable[..., Any],
    dry_run: bool,
    budget: str | None,
    metric: Metric | None,
    keep_models: bool,
    as_json: bool,
) -> None:
    """Trains every cell that is not done, or the most promising within --budget.

    Interrupt it at any time: the same command goes on where it stopped.
    """
    from lib.benchmark.budget import Within, seconds_of
    from lib.benchmark.engines import Running, run_prepared
    from lib.benchmark.prepare import prepared
    from lib.reporting.benchmark import plan_summary
    from lib.reporting.watching import watching

    settings = settings.override(keep_models=keep_models or None)
    running, budget_s = Running(**how, by_results=bool(budget)), seconds_of(budget) if budget else 0.0
    sweep = prepared(request, settings, skip_failed=skip_failed, shard=shard)
    policy = Policy(sweep, settings, metric) if budget else None
    if dry_run:
        policy.show(budget_s, as_json) if policy else show_plan(sweep, as_json)
        return
    warn(sweep.warnings)
    click.echo(plan_summary(sweep.plan), err=as_json)
    ordering = Within(budget_s, policy.rank) if policy else None
    with (
        watching(terminal(stderr=as_json), functools.partial(click.echo, err=as_json)) as watcher,
        tracked(watcher) as listener,
    ):
        outcome = run_prepared(sweep, settings, listener, ordering, running)
    warn(outcome.warnings)
    if not as_json:
        _show_summary(outcome.records, metric)
    if policy and ordering:
        policy.tell(outcome, ordering, as_json)
    elif as_json:
        echo_json(outcome.records)
    click.echo(f"records: {settings.runs_dir}", err=as_json)
    tell_kept(settings, outcome.records, as_json)
    if outcome.count("failed"):
        raise click.exceptions.Exit(EXIT_SOME_FAILED)


@zoo.command()
@weights_options
@data_sets_option(True, "As for `run`: lists, views, all.")
@metric_option()
@json_option
def probe(settings: Settings, data_sets: tuple[str, ...], metric: Metric | None, as_json: bool) -> None:
    """What a few cheap cells reach on a sample of each data set: what is known of it before anything is run. Keeps nothing."""
    from lib.benchmark.probing import probe as probed
    from lib.benchmark.selection import find_data_sets

    loaded, left_out = find_data_sets(data_sets, settings)
    warn(left_out)
    found = [probed(data_set, settings) for data_set in loaded]
    warn(warning for one in found for warning in one.warnings)
    records = [record for one in found for record in one.records]
    echo_json(records) if as_json else _show_summary(records, metric)


def _show_summary(records: Iterable[RunRecord], metric: Metric | None) -> None:
    """A leaderboard of the records for each data set, and what went wrong."""
    records = list(records)
    for data_set in dict.fromkeys(record.data_set.name for record in records):
        _show_board(records, data_set, metric=metric)


def _show_board(records: list[RunRecord], data_set: str, **asked: Any) -> None:
    from lib.reporting.leaderboard import leaderboard, leaderboard_table, title_of, troubles

    board = leaderboard(records, data_set, **asked)
    if board.rows or board.chance:
        terminal().print(leaderboard_table(board, title_of(records, data_set, asked.get("epoch"))))
    for line in troubles(records, data_set):
        click.echo(line)


@zoo.command()
@settings_options
@click.option("--dataset", "data_set", help="Data set of the leaderboard; without it, an overview of all.")
@epoch_option()
@metric_option()
@choice_option("--sort", SORT_HELP, "quality", "parameters", "latency", "training")
@json_option
def show(settings: Settings, data_set: str | None, as_json: bool, **asked: Any) -> None:
    """The leaderboard of a data set: in the order of validation, with the quality on the test parts and its standard error."""
    from lib.records import RecordStore
    from lib.reporting.leaderboard import leaderboard, overview, overview_table

    records, broken = RecordStore(settings.runs_dir).read_all()
    warn(f"left out a broken record: {one.path}: {one.reason}" for one in broken)
    if data_set is None:
        sets = overview(records, asked["epoch"], asked["metric"])
        echo_json([asdict(row) for row in sets]) if as_json else terminal().print(overview_table(sets))
    elif as_json:
        echo_json(asdict(leaderboard(records, data_set, **asked)))
    else:
        _show_board(records, data_set, **asked)


@zoo.command()
@click.option("--move-to", type=FOLDER, help="Move them into this folder; nothing is deleted.")
@json_option
@settings_options
def doctor(settings: Settings, move_to: Path | None, as_json: bool) -> None:
    """Lists records, caches and models that are broken, foreign or stale, and what each would need."""
    from lib.reporting.doctor import examine, move_aside

    findings = examine(settings)
    if move_to:
        move_aside(findings, settings, move_to)
    if as_json:
        return echo_json([asdict(one) for one in findings])
    for one in findings:
        click.echo(f"{one.state}: {one.path}: {one.problem}; {one.needs}")
    click.echo(f"{len(findings)} unsound" if findings else "everything is sound")


for command in (ablate, compare, curves, design, embed, generate, masks, models, predict, results, ssl):
    zoo.add_command(command)

if __name__ == "__main__":
    run_command(zoo)
