"""A recommendation in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lib.recommendation.answer import Candidate, Recommendation
from lib.records.schema import head_of

if TYPE_CHECKING:
    from lib.performance_prediction.rows.suggest import SuggestedColumns

BASIS_STYLE = {"measured": "bold white", "completed": "bold blue", "predicted": "bold cyan"}


def recommendation_view(answer: Recommendation) -> RenderableType:
    """Ranked pairs, similar data sets, evidence and warnings."""
    parts: list[RenderableType] = [*_first(answer), _pairs(answer), *_footnotes(answer)]
    if answer.similar:
        parts.append(_similar(answer))
    parts += [Text(f"• {sentence}") for sentence in answer.evidence]
    parts += [Text(f"warning: {sentence}", "bold yellow") for sentence in answer.warnings]
    return Group(*parts)


def _first(answer: Recommendation) -> list[Text]:
    """What to train, and an answer to each question, above the table."""
    pick, cost = answer.pick, answer.pick.cost
    known = [] if cost.training_s is None else [f"{_duration(cost.training_s)} of training"]
    known += [] if cost.latency_ms is None else [f"{cost.latency_ms:.1f} ms an image"]
    equals = f": of {answer.equals} pairs that cannot be told from the first the cheapest" * (
        answer.equals > 1
    )
    price = f" ({', '.join(known)})" if known else ""
    return [Text(f"Train {pick.pair.label}{equals}{price}", "bold"), *map(Text, answer.answers), Text("")]


def _pairs(answer: Recommendation) -> Table:
    title = f"{answer.data_set} ({answer.domain}, {answer.task}): which pair to train"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("", justify="right")
    table.add_column("backbone × head", overflow="fold", min_width=18)
    for name in (answer.metric, "90 %\ninterval", "latency", "params", "train"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("rests on", no_wrap=True, min_width=9)
    for candidate in answer.candidates:
        table.add_row(*_row(candidate))
    return table


def _row(candidate: Candidate) -> list[Text | str]:
    cost, style = candidate.cost, BASIS_STYLE[candidate.basis]
    return [
        f"{'=' if candidate.equal and candidate.rank > 1 else ''}{candidate.rank}",
        f"{candidate.backbone}\n× {candidate.head}",
        Text(f"{candidate.quality:.3f}", style),
        f"{candidate.low:.2f}–{candidate.high:.2f}",
        "–" if cost.latency_ms is None else f"{cost.latency_ms:.1f} ms",
        _count(cost.parameters),
        "–" if cost.training_s is None else _duration(cost.training_s),
        Text(candidate.basis, style),
    ]


def _footnotes(answer: Recommendation) -> list[Text]:
    devices = sorted({candidate.cost.device for candidate in answer.candidates})
    notes = [
        f"{answer.n_considered} pairs considered; latency (one image), parameters and training time as measured on {', '.join(devices)}"
    ]
    for basis in BASIS_STYLE:
        words = [c for c in answer.candidates if c.basis == basis]
        if words:
            notes.append(f"{basis}, e.g. {words[0].backbone} × {words[0].head}: {words[0].evidence}")
    if answer.equals > 1:
        notes.append(f"{answer.equals} pairs, those marked = among them, cannot be told from the first")
    if answer.chance_quality is not None:
        notes.append(f"chance: always saying the largest class would reach {answer.chance_quality:.3f}")
    return [Text(note, "dim") for note in notes]


def _count(parameters: int) -> str:
    if parameters < 100_000:
        return f"{parameters:,}"
    return f"{parameters / 1e6:.1f} M"


def plan_view(plan: SuggestedColumns, folder: str) -> RenderableType:
    """Runs to make next, what they are expected to bring, and the command for the first."""
    table = Table(title="run next on this data set", title_justify="left", box=None, padding=(0, 2))
    for name in ("backbone × head", "predicted", "best expected after it", "train"):
        table.add_column(name, justify="left" if name == "backbone × head" else "right")
    for run in plan.suggestions:
        table.add_row(run.column, f"{run.predicted:.3f}", f"{run.expected_best:.3f}", _duration(run.cost))
    gain = (
        f"expected distance from the best pair: {plan.regret_before:.3f} now, {plan.regret_after:.3f} after these runs"
        if plan.incumbent is not None
        else f"expected distance from the best pair after these runs: {plan.regret_after:.3f}"
    )
    if not plan.suggestions:
        return Text("every pair has been run on this data set")
    backbone, head = plan.suggestions[0].column.split(" × ")
    head, finetuned = head_of(head)
    finetune = " --finetune" if finetuned else ""
    command = f"scripts/zoo.py run --dataset {folder} --backbone {backbone} --head {head}{finetune}"
    return Group(table, Text(gain), Text(command, "dim"))


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _similar(answer: Recommendation) -> Table:
    table = Table(title="most similar known data sets", title_justify="left", box=None, padding=(0, 2))
    for name in ("data set", "domain", "distance", "its best pair", answer.metric):
        table.add_column(name, overflow="fold")
    for entry in answer.similar:
        table.add_row(
            entry.name, entry.domain, f"{entry.distance:.2f}", entry.best_pair, f"{entry.best_quality:.3f}"
        )
    return table
