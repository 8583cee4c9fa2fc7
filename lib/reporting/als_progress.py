"""The terminal's side of `als.py train`: a progress bar with the loss, then table, picture and file names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from lib.performance_prediction.als.explicit import OnSweep
from lib.performance_prediction.als.train_on_runs import TrainedOnRuns
from lib.performance_prediction.als.zoo_completion_files import file_stem, write_completion, writing
from lib.reporting.als import draw_completion
from lib.reporting.als_table import completion_table


@contextmanager
def loss_bar(sweeps: int) -> Iterator[OnSweep]:
    """A progress bar on standard error; the value it gives takes (sweep, loss) after each sweep."""
    columns = (TextColumn("ALS"), BarColumn(), MofNCompleteColumn(), TextColumn("loss {task.fields[loss]}"))
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("sweeps", total=sweeps, loss="–", visible=False)

        def on_sweep(sweep: int, loss: float) -> None:
            progress.update(task, completed=sweep, visible=True, loss=f"{loss:.5f}")

        yield on_sweep


def show_completion(trained: TrainedOnRuns, folder: Path, quiet: bool = False) -> list[Path]:
    """Writes every file into `folder`, prints the table unless `quiet`, and the file names last; returns them."""
    completion = trained.completion
    files = write_completion(completion, folder)
    picture = folder / f"{file_stem(completion)}.png"
    writing(folder, lambda: draw_completion(completion, picture))
    files.append(picture)
    if quiet:
        return files
    console = Console()
    console.print(completion_table(completion))
    for broken in trained.broken:
        console.print(f"note: skipped {broken.path}: {broken.reason}", style="yellow", markup=False)
    for file in files:
        console.print(f"wrote {file}", markup=False, soft_wrap=True)
    return files
