"""Predictions of whole new rows on tables measured by others, beside the figures to reach and the rivals of `als.py suggest`.

    python benchmarks/new_rows.py FOLDER [NAME...] [--seeds 3]

FOLDER holds NAME.csv and, where there is one, NAME.features.csv. Ten folds over groups of rows, everything chosen from the
training rows alone (see lib/performance_prediction/rows/evaluate.py). Writes benchmarks/results/new_rows_NAME.json.
"""

from __future__ import annotations

from pathlib import Path

import click

from lib.command_line import run_command
from lib.config import PROJECT_ROOT
from lib.performance_prediction.rows.evaluate import RIVALS, evaluate_row_files
from lib.performance_prediction.table.circumstances import write_report
from lib.reporting.score_tables import show_row_evaluation, tell

RESULTS = PROJECT_ROOT / "benchmarks" / "results"
KNOWN_TABLES = ("clip_linear_probe", "openclip_zeroshot", "oboe_error", "mteb_text")
# Mean absolute error with 0, 1, 3, 5, 10 cells known, and mean regret after 5, 11, 21 evaluations.
MAE_TO_REACH = {
    "clip_linear_probe": (0.127, 0.051, 0.0345, 0.0293, 0.0226),
    "openclip_zeroshot": (0.192, 0.095, 0.062, 0.055, 0.0423),
    "oboe_error": (0.086, 0.060, 0.043, 0.0376, 0.0321),
}
REGRET_TO_REACH = {"oboe_error": {5: 0.0119, 11: 0.0072, 21: 0.0047}}


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("names", nargs=-1)
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True)
def main(folder: Path, names: tuple[str, ...], seeds: int) -> None:
    """Judge each table, and say where it stands against the figures to reach and against choosing without looking."""
    for name in names or KNOWN_TABLES:
        report = evaluate_row_files([folder / f"{name}.csv"], seeds, with_features=True, tell=tell)
        show_row_evaluation(report)
        evaluation = report.tables[name]
        for figure, bar in zip(evaluation.known_cells, MAE_TO_REACH.get(name, ()), strict=False):
            _say(f"{name}: MAE with {figure.known} cells known", figure.mae, bar)
        for suggestion in evaluation.suggestions:
            after = f"{name}: regret after {suggestion.budget} evaluations"
            if goal := REGRET_TO_REACH.get(name, {}).get(suggestion.budget):
                _say(after, suggestion.suggested, goal)
            for rival in RIVALS:
                _say(f"{after}, against {rival}", suggestion.suggested, getattr(suggestion, rival))
        write_report(RESULTS / f"new_rows_{name}.json", report)


def _say(what: str, found: float, bar: float) -> None:
    click.echo(f"{what}: {found:.4f}, to reach {bar:.4f} {'reached' if found <= bar else 'SHORT'}")


if __name__ == "__main__":
    run_command(main)
