"""Complete tables of scores: train (on our own run records), complete (any CSV), evaluate (against the rivals)."""

from __future__ import annotations

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
    from lib.performance_prediction.train_on_runs import train_on_runs
    from lib.reporting.als_progress import loss_bar, show_completion

    with loss_bar(settings.als.sweeps) as on_sweep:
        trained = train_on_runs(settings, epoch, domain, task, rank, seed, on_sweep)  # type: ignore[arg-type]
    files = show_completion(trained, settings.out_dir, as_json)
    if as_json:
        echo_json({**trained.report.model_dump(mode="json"), "files": files})


if __name__ == "__main__":
    run_command(als)
