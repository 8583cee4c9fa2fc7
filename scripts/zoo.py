"""The zoo of backbones × heads: what it holds (list), what a sweep would do (plan), sweeps (run), leaderboards (show)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lib.command_line import echo_json, run_command, settings_options
from lib.config import Settings

if TYPE_CHECKING:
    from rich.console import Console

    from lib.benchmark.budget import BudgetedSweep, Policy
    from lib.benchmark.plan import Cell
    from lib.benchmark.selection import Request
    from lib.performance_prediction.boosting.evidence import Pair
    from lib.recommendation.budget_policy import BudgetPolicy, Outlook
    from lib.records import RunRecord

EXIT_SOME_FAILED = 1
PIPE_WIDTH = 150


@click.group()
def zoo() -> None:
    """Trains backbones × heads on data sets, and keeps every run as a record."""


def weights_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options of weights and device; they override the settings before the command sees them."""

    @click.option("--weights-dir", type=click.Path(path_type=Path), help="Folder of <timm name>.safetensors.")
    @click.option(
        "--weights", type=click.Choice(["pretrained", "random"]), help="random: exercise code only."
    )
    @click.option("--device", help="auto, cpu, cuda or mps [config: device].")
    @click.option("--precision", type=click.Choice(["auto", "bf16", "fp32"]), help="[config: precision]")
    @functools.wraps(command)
    def with_weights(
        *args: Any,
        settings: Settings,
        weights_dir: Path | None,
        weights: str | None,
        device: str | None,
        precision: str | None,
        **kwargs: Any,
    ) -> Any:
        folder = weights_dir.resolve() if weights_dir else None
        chosen = settings.override(weights_dir=folder, weights=weights, device=device, precision=precision)
        return command(*args, settings=chosen, **kwargs)

    return settings_options(with_weights)


def request_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that name cells; the command receives one `request: Request` in their place."""

    @click.option(
        "--dataset",
        "data_sets",
        multiple=True,
        required=True,
        help="Folder or name, with views (neu_cls@train10); comma separated or repeated; all.",
    )
    @click.option(
        "--backbone", "backbones", multiple=True, required=True, help="timm names or handcrafted; lists; all."
    )
    @click.option(
        "--head", "heads", multiple=True, required=True, help="Heads, see `list`; lists; all that fit."
    )
    @click.option("--epochs", type=click.IntRange(min=1), help="Epochs [config: of the task's recipe, 10].")
    @click.option("--seed", "seeds", multiple=True, default=("0",), show_default=True, help="Seeds; lists.")
    @click.option("--finetune", is_flag=True, help="Train the backbone too (default: frozen).")
    @click.option("--skip-failed", is_flag=True, help="Leave cells that failed before (default: try again).")
    @functools.wraps(command)
    def with_request(
        *args: Any,
        data_sets: tuple[str, ...],
        backbones: tuple[str, ...],
        heads: tuple[str, ...],
        epochs: int | None,
        seeds: tuple[str, ...],
        finetune: bool,
        **kwargs: Any,
    ) -> Any:
        from lib.benchmark.selection import Request

        request = Request(data_sets, backbones, heads, _seeds(seeds), epochs, finetune)
        return command(*args, request=request, **kwargs)

    return with_request


def _seeds(given: tuple[str, ...]) -> tuple[int, ...]:
    pieces = [piece.strip() for text in given for piece in text.split(",") if piece.strip()]
    wrong = [piece for piece in pieces if not piece.isdecimal()]
    if wrong or not pieces:
        raise click.BadParameter(f"expected whole numbers from 0, got {', '.join(wrong) or 'none'}")
    return tuple(dict.fromkeys(map(int, pieces)))


@zoo.command("list")
@weights_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_command(settings: Settings, as_json: bool) -> None:
    """Backbones (input, width, parameters, pretraining, where their weights are) and heads."""
    from lib.reporting.benchmark_inventory import backbone_entries, backbone_table, head_entries, head_table

    backbones, heads = backbone_entries(settings), head_entries()
    if as_json:
        rows = [entry.info.model_dump() | {"weights": entry.weights} for entry in backbones]
        echo_json({"backbones": rows, "heads": [asdict(entry) for entry in heads]})
        return
    console = _console()
    console.print(backbone_table(backbones), head_table(heads))
    missing = next((entry.reason for entry in backbones if entry.reason), None)
    if missing:
        click.echo(f"missing weights, e.g.: {missing}")


@zoo.command()
@weights_options
@request_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plan(settings: Settings, request: Request, skip_failed: bool, as_json: bool) -> None:
    """Shows the cells of a sweep: done, incompatible (why) or to do, and how long they will take. Runs nothing."""
    from lib.benchmark.prepare import prepared

    _show_plan(prepared(request, settings, skip_failed=skip_failed), as_json)


def _show_plan(sweep: Any, as_json: bool) -> None:
    from lib.reporting.benchmark_tables import plan_json, plan_summary, plan_table

    if as_json:
        echo_json(plan_json(sweep.plan, sweep.selection.left_out))
        return
    _warn(sweep.warnings)
    _console().print(plan_table(sweep.plan))
    click.echo(plan_summary(sweep.plan))


def _warn(sentences: tuple[str, ...]) -> None:
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
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def run(
    settings: Settings, request: Request, skip_failed: bool, dry_run: bool, budget: str | None, as_json: bool
) -> None:
    """Trains every cell that is not done, or the most promising within --budget.

    Interrupt it at any time: the same command goes on where it stopped.
    """
    from lib.benchmark.prepare import prepared
    from lib.benchmark.run import run_sweep
    from lib.reporting.benchmark_tables import plan_summary
    from lib.reporting.watching import watching

    if budget is not None:
        _run_within(settings, request, skip_failed, dry_run, budget, as_json)
        return
    sweep = prepared(request, settings, skip_failed=skip_failed)
    if dry_run:
        _show_plan(sweep, as_json)
        return
    _warn(sweep.warnings)
    click.echo(plan_summary(sweep.plan), err=as_json)
    write = functools.partial(click.echo, err=as_json)
    with watching(_console(stderr=as_json), write) as listener:
        outcome = run_sweep(sweep.plan, sweep.data_sets, settings, listener)
    _warn(outcome.warnings)
    if as_json:
        echo_json([record.model_dump(mode="json") for record in outcome.records])
    else:
        _show_summary(outcome.records)
    click.echo(f"records: {settings.runs_dir}", err=as_json)
    if outcome.count("failed"):
        raise click.exceptions.Exit(EXIT_SOME_FAILED)


def _run_within(
    settings: Settings, request: Request, skip_failed: bool, dry_run: bool, budget: str, as_json: bool
) -> None:
    """`run --budget`: the policy of `recommend.py --suggest`, asked again after each cell; says what may have been missed."""
    from lib.benchmark.budget import order_within, run_within, seconds_of
    from lib.benchmark.prepare import prepared
    from lib.recommendation.budget_policy import BudgetPolicy
    from lib.records import RecordStore
    from lib.reporting.watching import watching

    budget_s = seconds_of(budget)
    sweep = prepared(request, settings, skip_failed=skip_failed)
    store = RecordStore(settings.runs_dir)
    known, _ = store.read_all(("finished",))
    policy = BudgetPolicy(known, _facts_of(sweep, store), settings.related_data_sets)
    ranked = _ranking(policy)
    _warn(sweep.warnings)
    expected = order_within(sweep.plan, ranked, known, budget_s)
    _warn(tuple(policy.reasons))
    if dry_run:
        _show_order(sweep, expected, policy.reasons, budget_s, as_json)
        return
    to_run = sum(planned.to_run for planned in sweep.plan.cells)
    click.echo(f"{len(expected)} of {to_run} cells are expected to fit into {budget_s:g} s", err=as_json)
    with watching(_console(stderr=as_json), functools.partial(click.echo, err=as_json)) as listener:
        outcome = run_within(sweep.plan, sweep.data_sets, settings, ranked, budget_s, listener)
    _warn(outcome.sweep.warnings)
    outlooks = _outlooks(policy, sweep, outcome, store.read_all(("finished",))[0])
    _show_budgeted(outcome, outlooks, policy.reasons, as_json)
    click.echo(f"records: {settings.runs_dir}", err=as_json)
    if outcome.sweep.count("failed"):
        raise click.exceptions.Exit(EXIT_SOME_FAILED)


def _ranking(policy: BudgetPolicy) -> Policy:
    """The policy as the benchmark takes it: cells in, positions out."""
    from lib.recommendation.budget_policy import Option

    def ranked(cells: Any, own: Any) -> list[int]:
        options = [Option(c.cell.data_set, _pair_of(c.cell), c.cell.seed, c.cost_s) for c in cells]
        return policy.order(options, own)

    return ranked


def _pair_of(cell: Cell) -> Pair:
    from lib.performance_prediction.boosting.evidence import Pair

    return Pair(cell.backbone.name, cell.head + (" (fine-tuned)" if cell.recipe.finetune else ""))


def _outlooks(policy: BudgetPolicy, sweep: Any, outcome: BudgetedSweep, finished: Any) -> list[Outlook]:
    def left(info: Any) -> list[Pair]:
        return [_pair_of(c.cell) for c in outcome.left if c.cell.data_set.name == info.name]

    return [policy.outlook(info, left(info), finished) for _, info in _sets_of(sweep)]


def _show_order(sweep: Any, expected: Any, notes: list[str], budget_s: float, as_json: bool) -> None:
    from lib.benchmark.budget import within
    from lib.reporting.benchmark_tables import plan_json, plan_table

    shown = within(sweep.plan, expected)
    if as_json:
        echo_json({**plan_json(shown, sweep.selection.left_out), "budget_s": budget_s, "notes": notes})
        return
    _console().print(plan_table(shown))
    click.echo("the order if every cell comes out as expected; it is planned anew after each result")


def _show_budgeted(outcome: BudgetedSweep, outlooks: list[Outlook], notes: list[str], as_json: bool) -> None:
    from lib.reporting.budget import outlook_sentence
    from lib.reporting.watching import readable_seconds

    if as_json:
        echo_json(
            {
                "records": [record.model_dump(mode="json") for record in outcome.sweep.records],
                "spent_s": round(outcome.spent_s, 2),
                "stopped": outcome.stopped,
                "not_run": len(outcome.left),
                "outlook": [asdict(one) for one in outlooks],
                "notes": notes,
            }
        )
        return
    _show_summary(outcome.sweep.records)
    click.echo(f"stopped after {readable_seconds(outcome.spent_s)}: {outcome.stopped}")
    for one in outlooks:
        click.echo(outlook_sentence(one))


def _sets_of(sweep: Any) -> list[tuple[Any, Any]]:
    return [(one.data_set, one.info) for one in sweep.selection.data_sets]


def _facts_of(sweep: Any, store: Any) -> dict[str, Any]:
    """Facts beside the runs, and those of data sets that have no runs yet; landmarks left out, few sets have them at the start."""
    from lib.features.meta import data_set_facts

    facts, _ = store.read_facts()
    for data_set, info in _sets_of(sweep):
        known = facts.get(info.name)
        if known is None or known.fingerprint != info.fingerprint:
            facts[info.name] = data_set_facts(data_set)
    return facts


@zoo.command()
@weights_options
@click.option("--dataset", "data_sets", multiple=True, required=True, help="As for `run`: lists, views, all.")
@click.option("--again", is_flag=True, help="Probe anew what has landmarks already.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def probe(settings: Settings, data_sets: tuple[str, ...], again: bool, as_json: bool) -> None:
    """Landmarks of data sets that have runs (linear probe, 1-NN, transferability), kept for `recommend.py --probe`."""
    from lib.benchmark.landmarking import fill_landmarks
    from lib.benchmark.run import require_writable
    from lib.benchmark.selection import find_data_sets
    from lib.records import RecordStore

    require_writable(settings.runs_dir)
    loaded, left_out = find_data_sets(data_sets, settings)
    _warn(left_out)
    store, done = RecordStore(settings.runs_dir), []
    for place, data_set in enumerate(loaded, 1):
        one = fill_landmarks(data_set, store, settings, again=again)
        done.append(one)
        _warn(one.warnings)
        count = f", {len(one.landmarks)} landmarks" if one.landmarks else ""
        click.echo(f"[{place}/{len(loaded)}] {one.data_set}: {one.state}{count}", err=as_json)
    if as_json:
        echo_json([asdict(one) for one in done])


def _show_summary(records: tuple[RunRecord, ...]) -> None:
    """A leaderboard of the new records for each data set, and what went wrong."""
    from lib.reporting.leaderboard import leaderboard, leaderboard_table, title_of, troubles

    for data_set in dict.fromkeys(record.data_set.name for record in records):
        rows = leaderboard(records, data_set)
        if rows:
            _console().print(leaderboard_table(rows, title_of(records, data_set, None)))
        for line in troubles(records, data_set):
            click.echo(line)


def _console(stderr: bool = False) -> Console:
    """The terminal; pipes and files get lines wide enough that no column is folded away."""
    from rich.console import Console

    console = Console(stderr=stderr)
    return console if console.is_terminal else Console(stderr=stderr, width=PIPE_WIDTH)


@zoo.command()
@settings_options
@click.option("--dataset", "data_set", help="Data set of the leaderboard; without it, an overview of all.")
@click.option("--epoch", type=click.IntRange(min=1), help="Quality after this epoch [the last].")
@click.option(
    "--sort",
    type=click.Choice(["quality", "parameters", "latency", "training"]),
    default="quality",
    show_default=True,
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(settings: Settings, data_set: str | None, epoch: int | None, sort: Any, as_json: bool) -> None:
    """The leaderboard of a data set: quality with its spread over seeds, parameters, latency, training time."""
    from lib.records import RecordStore
    from lib.reporting.leaderboard import (
        leaderboard,
        leaderboard_table,
        overview,
        overview_table,
        title_of,
        troubles,
    )

    records, broken = RecordStore(settings.runs_dir).read_all()
    _warn(tuple(f"left out a broken record: {one.path}: {one.reason}" for one in broken))
    console = _console()
    if data_set is None:
        sets = overview(records, epoch)
        echo_json([asdict(row) for row in sets]) if as_json else console.print(overview_table(sets))
        return
    rows = leaderboard(records, data_set, epoch, sort)
    if as_json:
        echo_json([asdict(row) for row in rows])
        return
    console.print(leaderboard_table(rows, title_of(records, data_set, epoch)))
    for line in troubles(records, data_set):
        click.echo(line)


if __name__ == "__main__":
    run_command(zoo)
