"""The zoo of backbones × heads: what it holds (list), what a sweep would do (plan), sweeps (run), leaderboards (show)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import asdict, fields, replace
from typing import TYPE_CHECKING, Any

import click

from lib.command_line import (
    SEED,
    backbones_option,
    data_sets_option,
    echo_json,
    epoch_option,
    heads_option,
    json_option,
    metric_option,
    names_of,
    run_command,
    settings_options,
    terminal,
    weights_options,
)
from lib.config import Settings

if TYPE_CHECKING:
    from lib.benchmark.budget import Within
    from lib.benchmark.prepare import PreparedSweep
    from lib.benchmark.selection import Request
    from lib.benchmark.sweep import Sweep
    from lib.records import RunRecord
    from lib.records.schema import Metric

EXIT_SOME_FAILED = 1


@click.group()
def zoo() -> None:
    """Trains backbones × heads on data sets, and keeps every run as a record."""


def _seeds(context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(SEED(text, option, context) for text in names_of(given))


REQUEST_OPTIONS: tuple[Callable[..., Any], ...] = (
    data_sets_option(True, "Folder or name, with views (neu_cls@train10); comma separated or repeated; all."),
    backbones_option(True, "timm names or handcrafted; lists; all."),
    heads_option(True, "Heads, see `list`; lists; all that fit."),
    click.option("--epochs", type=click.IntRange(min=1), help="Epochs [config: of the task's recipe, 10]."),
    click.option(
        "--seed", "seeds", multiple=True, default=("0",), show_default=True, callback=_seeds, help="Seeds; lists."
    ),
    click.option("--finetune", is_flag=True, help="Train the backbone too (default: frozen)."),
    click.option(
        "--split",
        type=click.Choice(["folds", "own"]),
        default="folds",
        show_default=True,
        help="Cross-validation, or the set's own split for comparison with published figures.",
    ),
    click.option("--folds", type=click.IntRange(min=1), help="So many folds [all; fine-tuning and masks: 2]."),
    click.option("--skip-failed", is_flag=True, help="Leave cells that failed before (default: try again)."),
)  # fmt: skip


def request_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that name cells; the command receives one `request: Request` in their place."""

    @functools.wraps(command)
    def with_request(*args: Any, **kwargs: Any) -> Any:
        from lib.benchmark.selection import Request

        request = Request(**{field.name: kwargs.pop(field.name) for field in fields(Request)})
        return command(*args, request=request, **kwargs)

    decorated: Callable[..., Any] = with_request
    for option in reversed(REQUEST_OPTIONS):
        decorated = option(decorated)
    return decorated


@zoo.command("list")
@weights_options
@json_option
def list_command(settings: Settings, as_json: bool) -> None:
    """Backbones (input, width, parameters, pretraining, where their weights are) and heads."""
    from lib.reporting.benchmark_inventory import backbone_entries, backbone_table, head_entries, head_table

    backbones, heads = backbone_entries(settings), head_entries()
    if as_json:
        rows = [entry.info.model_dump() | {"weights": entry.weights} for entry in backbones]
        echo_json({"backbones": rows, "heads": [asdict(entry) for entry in heads]})
        return
    terminal().print(backbone_table(backbones), head_table(heads))
    missing = next((entry.reason for entry in backbones if entry.reason), None)
    if missing:
        click.echo(f"missing weights, e.g.: {missing}")


@zoo.command()
@weights_options
@request_options
@json_option
def plan(settings: Settings, request: Request, skip_failed: bool, as_json: bool) -> None:
    """Shows the cells of a sweep: done, incompatible (why) or to do, and how long they will take. Runs nothing."""
    from lib.benchmark.prepare import prepared

    _show_plan(prepared(request, settings, skip_failed=skip_failed), as_json)


def _show_plan(sweep: PreparedSweep, as_json: bool, **more: Any) -> None:
    from lib.reporting.benchmark_tables import plan_json, plan_summary, plan_table

    if as_json:
        echo_json({**plan_json(sweep.plan, sweep.selection.left_out), **more})
        return
    _warn(sweep.warnings)
    terminal().print(plan_table(sweep.plan))
    click.echo(plan_summary(sweep.plan))


def _warn(sentences: Iterable[str]) -> None:
    for sentence in sentences:
        click.secho(f"warning: {sentence}", err=True, fg="yellow")


@zoo.command()
@weights_options
@request_options
@click.option("--dry-run", is_flag=True, help="Show the plan, run nothing.")
@click.option(
    "--budget",
    help="90s, 30m, 2h: only as many cells as fit, those with the highest expected gain a second first.",
)
@metric_option()
@json_option
def run(
    settings: Settings,
    request: Request,
    skip_failed: bool,
    dry_run: bool,
    budget: str | None,
    metric: Metric | None,
    as_json: bool,
) -> None:
    """Trains every cell that is not done, or the most promising within --budget.

    Interrupt it at any time: the same command goes on where it stopped.
    """
    from lib.benchmark.budget import Within, seconds_of
    from lib.benchmark.prepare import prepared
    from lib.benchmark.sweep import run_sweep
    from lib.reporting.benchmark_tables import plan_summary
    from lib.reporting.watching import watching

    budget_s = seconds_of(budget) if budget else 0.0
    sweep = prepared(request, settings, skip_failed=skip_failed)
    policy = _Policy(sweep, settings, metric) if budget else None
    if dry_run:
        policy.show(budget_s, as_json) if policy else _show_plan(sweep, as_json)
        return
    _warn(sweep.warnings)
    click.echo(plan_summary(sweep.plan), err=as_json)
    ordering = Within(budget_s, policy.rank) if policy else None
    with watching(terminal(stderr=as_json), functools.partial(click.echo, err=as_json)) as listener:
        outcome = run_sweep(sweep.plan, sweep.data_sets, settings, listener, ordering)
    _warn(outcome.warnings)
    if not as_json:
        _show_summary(outcome.records, metric)
    if policy and ordering:
        policy.tell(outcome, ordering, as_json)
    elif as_json:
        echo_json(outcome.records)
    click.echo(f"records: {settings.runs_dir}", err=as_json)
    if outcome.count("failed"):
        raise click.exceptions.Exit(EXIT_SOME_FAILED)


class _Policy:
    """`run --budget`: the policy of `recommend.py --suggest` on the cells of a sweep."""

    def __init__(self, sweep: PreparedSweep, settings: Settings, metric: Metric | None) -> None:
        from lib.benchmark.facts import facts_of
        from lib.recommendation.budget_policy import BudgetPolicy
        from lib.records import RecordStore

        self.sweep, self.store = sweep, RecordStore(settings.runs_dir)
        known, facts = self.store.read_all(("finished",))[0], self.store.read_facts()[0]
        facts |= {name: facts_of(one, facts) for (name, _), one in sweep.data_sets.items()}
        self.policy = BudgetPolicy(known, facts, settings.related_data_sets, metric)

    def rank(self, cells: Any, finished: Any) -> Any:
        """Positions of the cells, the one to run first in front."""
        from lib.performance_prediction.boosting.cells import Pair
        from lib.recommendation.budget_policy import Option

        options = [Option(c.data_set, Pair(c.backbone, c.head), c.seed, c.cost_s) for c in cells]
        return self.policy.order(options, finished)

    def show(self, budget_s: float, as_json: bool) -> None:
        """The order if every cell comes out as expected."""
        from lib.benchmark.budget import expected_order

        done = [planned.record for planned in self.sweep.plan.cells if planned.record]
        expected = expected_order(self.sweep.plan, self.rank, done, budget_s)
        _show_plan(replace(self.sweep, plan=expected), as_json, budget_s=budget_s, notes=self.policy.reasons)
        _warn(self.policy.reasons)
        click.echo("the order if every cell comes out as expected; each result plans it anew", err=as_json)

    def tell(self, outcome: Sweep, ordering: Within, as_json: bool) -> None:
        """Why it stopped, and what may have been missed."""
        from lib.performance_prediction.boosting.cells import Pair
        from lib.reporting.budget import budget_json, budget_lines

        finished = self.store.read_all(("finished",))[0]
        outlooks = []
        for info in (one.info for one in self.sweep.selection.data_sets):
            left = [Pair(c.backbone, c.head) for c in outcome.left if c.data_set.name == info.name]
            outlooks.append(self.policy.outlook(info, left, finished))
        told = (outlooks, ordering.spent_s(), ordering.stopped)
        if as_json:
            more = {"records": outcome.records, "not_run": len(outcome.left), "notes": self.policy.reasons}
            echo_json({**more, **budget_json(*told)})
            return
        _warn(self.policy.reasons)
        click.echo("\n".join(budget_lines(*told)))


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
    _warn(left_out)
    found = [probed(data_set, settings) for data_set in loaded]
    _warn(warning for one in found for warning in one.warnings)
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
@click.option(
    "--sort",
    type=click.Choice(["quality", "parameters", "latency", "training"]),
    default="quality",
    show_default=True,
    help="quality: on the validation parts; the test parts order nothing.",
)
@json_option
def show(settings: Settings, data_set: str | None, as_json: bool, **asked: Any) -> None:
    """The leaderboard of a data set: in the order of validation, with the quality on the test parts and its standard error."""
    from lib.records import RecordStore
    from lib.reporting.leaderboard import leaderboard, overview, overview_table

    records, broken = RecordStore(settings.runs_dir).read_all()
    _warn(f"left out a broken record: {one.path}: {one.reason}" for one in broken)
    if data_set is None:
        sets = overview(records, asked["epoch"], asked["metric"])
        echo_json([asdict(row) for row in sets]) if as_json else terminal().print(overview_table(sets))
    elif as_json:
        echo_json(asdict(leaderboard(records, data_set, **asked)))
    else:
        _show_board(records, data_set, **asked)


if __name__ == "__main__":
    run_command(zoo)
