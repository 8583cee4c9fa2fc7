"""Complete tables of scores: train (on our own run records), complete (any CSV), evaluate (against the rivals)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lib.command_line import (
    domains_option,
    echo_json,
    epoch_option,
    json_option,
    metric_option,
    run_command,
    seed_option,
    settings_options,
    task_option,
)
from lib.config import Settings

if TYPE_CHECKING:
    from lib.records.schema import Metric, Task


FILE = click.Path(path_type=Path)
row_features_option = click.option("--features", type=FILE, help="CSV that describes the rows.")
numbers_option = click.option("--json", "out", type=FILE, help="Write the numbers to this file.")


def tables_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --matrix and further tables behind it; the command receives `first: Path, more: tuple[Path, ...]`."""
    command = click.argument("more", nargs=-1, type=FILE)(command)
    return click.option("--matrix", "first", type=FILE, required=True, help="CSV table; more may follow it.")(
        command
    )


@click.group()
def als() -> None:
    """Fills in the scores nobody measured, and says how sure that is."""


@als.command()
@epoch_option(help="Quality after this epoch [config: als.epoch].")
@domains_option()
@task_option("[the one with most runs]")
@metric_option("What is completed [accuracy; masks: dice].")
@click.option(
    "--rank", type=click.IntRange(min=0), help="Length of the embeddings [chosen by cross-validation]."
)
@seed_option()
@click.option(
    "--design", "design_path", type=FILE, help="File of `zoo.py design`: its hidden cells are judged on."
)
@json_option
@settings_options
def train(
    epoch: int | None,
    domains: tuple[str, ...],
    task: Task | None,
    metric: Metric | None,
    rank: int | None,
    seed: int,
    design_path: Path | None,
    as_json: bool,
    settings: Settings,
) -> None:
    """Complete the quality matrix of our own runs: table, picture, factors, and how wrong it is on cells it has not seen."""
    from rich.console import Console

    from lib.files import writing
    from lib.performance_prediction.als.report import file_stem, report_of, write_completion
    from lib.performance_prediction.als.train import train_on_runs
    from lib.records.design import read_design
    from lib.reporting.als import draw_completion
    from lib.reporting.als_table import completion_table, loss_bar

    design = read_design(design_path) if design_path else None
    with loss_bar(settings.als.sweeps) as on_sweep:
        found = train_on_runs(settings, epoch, domains, task, metric, rank, seed, on_sweep, design)
    completion, broken = found
    report, picture = report_of(completion), settings.out_dir / f"{file_stem(completion)}.png"
    files = [*write_completion(completion, report, settings.out_dir), picture]
    writing(picture, lambda: draw_completion(completion, picture))
    if as_json:
        echo_json({**report, "files": files})
        return
    Console().print(completion_table(completion))
    for file in broken:
        click.echo(f"note: skipped {file.path}: {file.reason}")
    click.echo("\n".join(f"wrote {file}" for file in files))


@als.command()
@click.option(
    "--matrix",
    type=FILE,
    required=True,
    help="CSV: row names, then columns of scores in [0, 1]; empty = missing.",
)
@row_features_option
@click.option("--column-features", type=FILE, help="CSV that describes the columns.")
@click.option("--completer", default="bayesian_mf", show_default=True, help="Any of `als.py completers`.")
@seed_option()
@json_option
@click.option("--out", type=FILE, required=True, help="CSV to write: row,column,status,value,low,high.")
def complete(
    matrix: Path,
    features: Path | None,
    column_features: Path | None,
    completer: str,
    seed: int,
    as_json: bool,
    out: Path,
) -> None:
    """Fill in any table of scores, each number with its 90 % interval; measured cells are kept as they are."""
    from lib.performance_prediction.table.complete import complete_file
    from lib.reporting.score_tables import completion_json, sentences, tell

    done, warnings = complete_file(matrix, out, (features, column_features), completer, seed, tell)
    if as_json:
        echo_json(completion_json(done, matrix, out, seed, warnings))
    else:
        click.echo("\n".join(sentences(done, out)))


@als.command()
@tables_options
@click.option(
    "--fractions", default="0.3,0.5,0.7,0.9", show_default=True, help="Shares of the cells to hide."
)
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--completers", "names", default="all", show_default=True, help="Names, separated by commas.")
@click.option("--features", type=FILE, multiple=True, help="[NAME.features.csv]")
@click.option("--column-features", type=FILE, multiple=True, help="[NAME.column_features.csv]")
@click.option(
    "--no-features", is_flag=True, help="Leave features aside even where they lie beside the table."
)
@numbers_option
def evaluate(
    first: Path,
    more: tuple[Path, ...],
    fractions: str,
    seeds: int,
    names: str,
    features: tuple[Path, ...],
    column_features: tuple[Path, ...],
    no_features: bool,
    out: Path | None,
) -> None:
    """Compare completers on tables: hide cells, complete, and say how wrong each was."""
    from lib.performance_prediction.table.evaluate import EvaluationPlan, evaluate_files, parse_fractions
    from lib.performance_prediction.table.score_table import COMPLETERS
    from lib.reporting.score_tables import show_report, show_scores, tell

    chosen = COMPLETERS.names() if names == "all" else [name.strip() for name in names.split(",")]
    plan = EvaluationPlan(parse_fractions(fractions), seeds, chosen)
    given = (features, column_features, not no_features)
    _show_and_write(evaluate_files([first, *more], *given, plan, show_scores, tell), show_report, out)


@als.command(name="suggest")
@click.option("--matrix", type=FILE, required=True, help="CSV table of scores in [0, 1].")
@click.option("--row", required=True, help="Name of the row; its line in the table may be empty.")
@row_features_option
@click.option("--costs", type=FILE, help="CSV `column,cost`: gain is then counted per cost.")
@click.option("--count", type=click.IntRange(min=1), default=5, show_default=True)
@seed_option()
@json_option
def suggest_columns(
    matrix: Path, row: str, features: Path | None, costs: Path | None, count: int, seed: int, as_json: bool
) -> None:
    """What to evaluate next on one row: the columns expected to add most to the best found so far."""
    from lib.performance_prediction.rows.files import suggest_from_file
    from lib.reporting.score_tables import show_suggestions, suggestions_json

    answer = suggest_from_file(matrix, row, features, costs, count, seed)
    echo_json(suggestions_json(answer)) if as_json else show_suggestions(answer)


@als.command(name="evaluate-rows")
@tables_options
@click.option("--seeds", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--no-features", is_flag=True, help="Leave NAME.features.csv aside.")
@numbers_option
def evaluate_rows_of(
    first: Path, more: tuple[Path, ...], seeds: int, no_features: bool, out: Path | None
) -> None:
    """Judge predictions of whole new rows: leave rows out, show a few cells, and say how wrong the rest was."""
    from lib.performance_prediction.rows.evaluate import evaluate_row_files
    from lib.reporting.score_tables import show_row_evaluation, tell

    told = evaluate_row_files(
        [first, *more], seeds, not no_features, lambda *fold: tell("{}: fold {} of {}".format(*fold)), tell
    )
    _show_and_write(told, show_row_evaluation, out)


def _show_and_write(report: Any, show: Callable[[Any], None], out: Path | None) -> None:
    from lib.performance_prediction.table.circumstances import write_report

    show(report)
    if out:
        write_report(out, report)
        click.echo(out)


@als.command()
def completers() -> None:
    """List the completers by name, with what each does."""
    from lib.reporting.score_tables import described_completers

    click.echo("\n".join(described_completers()))


if __name__ == "__main__":
    run_command(als)
