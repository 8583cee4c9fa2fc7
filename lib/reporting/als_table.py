"""The completed quality matrix in the terminal: measured white, completed blue, errors red, embeddings green."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from lib.performance_prediction.als.explicit import OnSweep
from lib.performance_prediction.als.report import verdict
from lib.performance_prediction.als.train import ZooCompletion

MEASURED, COMPLETED, ERROR, EMBEDDING = "bold white", "bold blue", "red", "green"
LEGEND = Text.assemble(
    ("measured", MEASURED),
    "  ",
    ("completed", COMPLETED),
    "  ",
    ("below it: held-out absolute error", ERROR),
    " (cross-validated, not the training error), and on how many data sets it was measured  ",
    ("embeddings", EMBEDDING),
)


@contextmanager
def loss_bar(sweeps: int) -> Iterator[OnSweep]:
    """A progress bar on standard error; the value it gives takes (sweep, loss) after each sweep."""
    columns = (TextColumn("ALS"), BarColumn(), MofNCompleteColumn(), TextColumn("loss {task.fields[loss]}"))
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("sweeps", total=sweeps, loss="–", visible=False)
        yield lambda sweep, loss: progress.update(task, completed=sweep, visible=True, loss=f"{loss:.5f}")


def completion_table(completion: ZooCompletion) -> RenderableType:
    """The matrix with held-out errors and embeddings, the rivals' errors, the verdict and the notes."""
    matrix, model = completion.matrix, completion.model
    evidence = matrix.evidence
    title = f"{evidence.metric.capitalize().replace('_', ' ')} ({evidence.task}, domain {evidence.domain or 'all'}, epoch {evidence.epoch}, {len(evidence.runs)} runs on {len(evidence.data_sets)} data sets)"
    table = Table(title=title, title_justify="left", show_lines=False, padding=(0, 1, 0, 0))
    table.add_column("backbone", overflow="fold")
    for head in matrix.heads:
        table.add_column(head, justify="right", overflow="fold", min_width=5)
    embedding = " ".join(["bias", *(f"x{k + 1}" for k in range(model.rank))])
    table.add_column(embedding, style=EMBEDDING, justify="right")
    for i, backbone in enumerate(matrix.backbones):
        cells = [_cell(completion, i, j) for j in range(len(matrix.heads))]
        weights = [model.row_biases[i], *model.row_factors[i]]
        table.add_row(backbone, *cells, Text(" ".join(f"{w:+.2f}" for w in weights), EMBEDDING))
    table.add_section()
    for k, weights in enumerate([model.column_biases, *model.column_factors.T]):
        name = f"head y{k}" if k else "head bias"
        table.add_row(*(Text(text, EMBEDDING) for text in (name, *(f"{w:+.2f}" for w in weights))), "")
    return Group(table, LEGEND, _rivals(completion), *_sentences(completion))


def _cell(completion: ZooCompletion, i: int, j: int) -> Text:
    status = completion.status(i, j)
    if status == "incompatible":
        return Text("cannot work", "dim")
    parts = [(f"{completion.values[i, j]:.3f}", MEASURED if status == "measured" else COMPLETED)]
    if completion.matrix.measured[i, j]:
        parts.append((f"\n{completion.held_out_error[i, j]:.3f}", ERROR))
    if status == "completed":
        parts.append((f"\n{completion.matrix.n_data_sets[i, j]} of {completion.n_data_sets}", "dim"))
    return Text.assemble(*parts)


def _rivals(completion: ZooCompletion) -> Table:
    table = Table(box=None, padding=(0, 2))
    table.add_column("method")
    table.add_column("held-out error", justify="right", style=ERROR)
    for name, mae in sorted(completion.held_out_mae.items(), key=lambda item: item[1]):
        table.add_row(name, f"{mae:.4f}", style="bold" if name == "als" else None)
    return table


def _sentences(completion: ZooCompletion) -> list[Text]:
    model, losses = completion.course, completion.course.losses
    fit = (
        f"rank {model.rank}, regularisation {model.regularisation:g} (chosen by cross-validation); "
        f"final loss {losses[-1]:.4f} RMSE after {len(losses)} sweeps"
    )
    verdict_style = "yellow" if completion.beaten_by else "default"
    kinds = [Text(one.sentence, "default" if one.beats else "yellow") for one in completion.held_out]
    notes = [Text(f"note: {note}", "yellow") for note in completion.matrix.notes]
    return [Text(fit), Text(verdict(completion), verdict_style), *kinds, *notes]
