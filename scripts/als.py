"""Complete tables of scores: train (on our own run records), complete (any CSV), evaluate (against the rivals)."""

from __future__ import annotations

from pathlib import Path

import click

from lib.command_line import echo_json, run_command, settings_options
from lib.config import Settings


@click.group()
def als() -> None:
    """Fills in the scores nobody measured, and says how sure that is."""


@als.command()
@click.option("--epoch", type=click.IntRange(min=1), help="Quality after this epoch [config: als.epoch].")
@click.option("--domain", help="Only data sets of this domain, e.g. medical [all].")
@click.option(
    "--task", type=click.Choice(["classification", "segmentation"]), help="[the one with most runs]"
)
@click.option(
    "--rank", type=click.IntRange(min=0), help="Length of the embeddings [chosen by cross-validation]."
)
@click.option("--seed", default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON instead of the table.")
@settings_options
def train(
    epoch: int | None,
    domain: str | None,
    task: str | None,
    rank: int | None,
    seed: int,
    as_json: bool,
    settings: Settings,
) -> None:
    """Complete the quality matrix of our own runs: table, picture, factors, and how wrong it is on cells it has not seen."""
    from lib.performance_prediction.als.train_on_runs import train_on_runs
    from lib.reporting.als_progress import loss_bar, show_completion

    with loss_bar(settings.als.sweeps) as on_sweep:
        trained = train_on_runs(settings, epoch, domain, task, rank, seed, on_sweep)  # type: ignore[arg-type]
    files = show_completion(trained, settings.out_dir, as_json)
    if as_json:
        echo_json({**trained.report.model_dump(mode="json"), "files": files})


@als.command()
@click.option(
    "--matrix",
    type=click.Path(path_type=Path),
    required=True,
    help="CSV: row names, then columns of scores in [0, 1]; empty = missing.",
)
@click.option("--features", type=click.Path(path_type=Path), help="CSV that describes the rows.")
@click.option("--column-features", type=click.Path(path_type=Path), help="CSV that describes the columns.")
@click.option("--completer", default="stack", show_default=True, help="Any of `als.py completers`.")
@click.option("--seed", default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="CSV to write: row,column,status,value,low,high.",
)
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
    from lib.reporting.completion import complete_file, sentences

    summary = complete_file(matrix, features, column_features, completer, seed, out)
    echo_json(summary) if as_json else click.echo("\n".join(sentences(summary)))


@als.command()
@click.option(
    "--matrix", "first", type=click.Path(path_type=Path), required=True, help="CSV table; more may follow it."
)
@click.argument("more", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--fractions", default="0.3,0.5,0.7,0.9", show_default=True, help="Shares of the cells to hide."
)
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--completers", "names", default="all", show_default=True, help="Names, separated by commas.")
@click.option("--features", type=click.Path(path_type=Path), multiple=True, help="[NAME.features.csv]")
@click.option(
    "--column-features", type=click.Path(path_type=Path), multiple=True, help="[NAME.column_features.csv]"
)
@click.option(
    "--no-features", is_flag=True, help="Leave features aside even where they lie beside the table."
)
@click.option("--json", "out", type=click.Path(path_type=Path), help="Write the numbers to this file.")
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
    from lib.performance_prediction.table.evaluate import EvaluationPlan
    from lib.performance_prediction.table.score_table import COMPLETERS
    from lib.reporting.completion_evaluation import evaluate_files, parse_fractions, show_report, write_report

    chosen = COMPLETERS.names() if names == "all" else [name.strip() for name in names.split(",")]
    plan = EvaluationPlan(parse_fractions(fractions), seeds, chosen)
    report = evaluate_files([first, *more], features, column_features, not no_features, plan)
    show_report(report)
    if out:
        write_report(out, report)
        click.echo(out)


@als.command(name="suggest")
@click.option(
    "--matrix", type=click.Path(path_type=Path), required=True, help="CSV table of scores in [0, 1]."
)
@click.option("--row", required=True, help="Name of the row; its line in the table may be empty.")
@click.option("--features", type=click.Path(path_type=Path), help="CSV that describes the rows.")
@click.option(
    "--costs", type=click.Path(path_type=Path), help="CSV `column,cost`: gain is then counted per cost."
)
@click.option("--count", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def suggest_columns(
    matrix: Path, row: str, features: Path | None, costs: Path | None, count: int, seed: int, as_json: bool
) -> None:
    """What to evaluate next on one row: the columns expected to add most to the best found so far."""
    from lib.reporting.rows import show_suggestions, suggest_from_file

    report = suggest_from_file(matrix, row, features, costs, count, seed)
    echo_json(report) if as_json else show_suggestions(report)


@als.command(name="evaluate-rows")
@click.option(
    "--matrix", "first", type=click.Path(path_type=Path), required=True, help="CSV table; more may follow it."
)
@click.argument("more", nargs=-1, type=click.Path(path_type=Path))
@click.option("--seeds", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--no-features", is_flag=True, help="Leave NAME.features.csv aside.")
@click.option("--json", "out", type=click.Path(path_type=Path), help="Write the numbers to this file.")
def evaluate_rows_of(
    first: Path, more: tuple[Path, ...], seeds: int, no_features: bool, out: Path | None
) -> None:
    """Judge predictions of whole new rows: leave rows out, show a few cells, and say how wrong the rest was."""
    from lib.reporting.rows import evaluate_row_files, show_row_evaluation, write_row_evaluation

    report = evaluate_row_files([first, *more], seeds, not no_features)
    show_row_evaluation(report)
    if out:
        write_row_evaluation(out, report)
        click.echo(out)


@als.command()
def completers() -> None:
    """List the completers by name, with what each does."""
    from lib.reporting.completion import described_completers

    click.echo("\n".join(described_completers()))


if __name__ == "__main__":
    run_command(als)
