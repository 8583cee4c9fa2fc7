"""What the zoo holds, backbones with their weights' whereabouts and heads; and a plan as a table, a sentence, plain values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from lib.benchmark.plan import Plan, PlannedCell
from lib.config import Settings
from lib.errors import WeightsError
from lib.records import BackboneInfo
from lib.reporting.tables import readable_seconds, table_of
from lib.zoo.heads import HEADS

EXAMPLE_WIDTH = 384
EXAMPLE_CLASSES = 4
STATE_STYLE = {"done": "green", "failed": "red", "incompatible": "dim", "to do": ""}


@dataclass(frozen=True)
class BackboneEntry:
    """A backbone and where its weights are: weights_dir, cache, hub, random, none needed, or missing (with the reason)."""

    info: BackboneInfo
    weights: str
    reason: str | None = None


@dataclass(frozen=True)
class HeadEntry:
    """A head; `example_parameters` for 384 features and 4 classes."""

    name: str
    tasks: tuple[str, ...]
    example_parameters: int
    can_finetune: bool
    description: str


def backbone_entries(settings: Settings) -> list[BackboneEntry]:
    """Every backbone of the curated list, and those tuned here; nothing is downloaded."""
    from lib.zoo.backbones import backbone_names
    from lib.zoo.tuned import tuned_names

    return [_backbone_entry(name, settings) for name in (*backbone_names(), *tuned_names(settings))]


def _backbone_entry(name: str, settings: Settings) -> BackboneEntry:
    from lib.zoo.backbones import describe_backbone
    from lib.zoo.catalogue import entry_of
    from lib.zoo.tuned import base_name

    try:
        info = describe_backbone(name, settings)
    except WeightsError as error:
        bare, entry = (
            describe_backbone(base_name(name), settings.override(weights="random")),
            entry_of(base_name(name)),
        )
        pretraining = {key: getattr(entry, key) for key in ("pretraining_data", "pretraining_method")}
        return BackboneEntry(bare.model_copy(update={"name": name, **pretraining}), "missing", str(error))
    return BackboneEntry(info, info.weights_origin)


def head_entries() -> list[HeadEntry]:
    """Every registered head."""
    heads = {name: HEADS[name]() for name in sorted(HEADS)}
    return [
        HeadEntry(
            name=name,
            tasks=head.tasks,
            example_parameters=head.parameters(EXAMPLE_WIDTH, EXAMPLE_CLASSES),
            can_finetune=head.can_finetune,
            description=(type(head).__doc__ or "").strip().splitlines()[0],
        )
        for name, head in heads.items()
    ]


def backbone_table(entries: Sequence[BackboneEntry]) -> Table:
    """Backbones for the terminal."""
    columns = ("backbone", "family", ">input", ">width", ">parameters", ">GMACs", "pretraining", "weights")
    return table_of(columns, map(_backbone_cells, entries), title="Backbones")


def _backbone_cells(entry: BackboneEntry) -> tuple[str | Text, ...]:
    info = entry.info
    return (
        info.name,
        info.family,
        f"{info.input_size_px} px",
        str(info.embedding_width),
        f"{info.parameters:,}",
        f"{info.flops / 1e9:.2f}",
        f"{info.pretraining_data}, {info.pretraining_method}",
        Text(entry.weights, {"missing": "red", "random": "bold red"}.get(entry.weights, "")),
    )


def head_table(entries: Sequence[HeadEntry]) -> Table:
    """Heads for the terminal."""
    example = f">parameters ({EXAMPLE_WIDTH} features, {EXAMPLE_CLASSES} classes)"
    rows = [
        (
            e.name,
            ", ".join(e.tasks),
            f"{e.example_parameters:,}",
            "yes" if e.can_finetune else "—",
            e.description,
        )
        for e in entries
    ]
    return table_of(("head", "tasks", example, "finetune", "what it is"), rows, title="Heads")


def plan_table(plan: Plan) -> Table:
    """One row a cell: what it is, its state, the reason or the estimated time."""
    headings = ("data set", "backbone", "head", "seed", "state", "estimate or reason")
    return table_of(headings, map(_plan_cells, plan.cells), title="Plan")


def _plan_cells(planned: PlannedCell) -> tuple[str | Text, ...]:
    cell, estimate = planned.cell, f"about {readable_seconds(planned.estimated_s)}" * planned.to_run
    shout = " (RANDOM WEIGHTS)" * (cell.backbone.weights_origin == "random")
    return (
        cell.data_set.name,
        cell.backbone.name + shout,
        cell.column,
        str(cell.seed),
        Text(planned.state, STATE_STYLE[planned.state]),
        "; ".join(filter(None, (estimate, planned.reason))),
    )


def plan_summary(plan: Plan) -> str:
    """`12 cells: 3 done, 1 incompatible, 8 to do; about 2 min 5 s …`."""
    counts = Counter[str](planned.state for planned in plan.cells)
    parts = ", ".join(f"{counts[state]} {state}" for state in STATE_STYLE if counts[state])
    features = sum(plan.features_s.values())
    source = "from runs on this kind of machine" if plan.measured_rates else "by rule of thumb"
    return (
        f"{len(plan.cells)} cell{'s' if len(plan.cells) != 1 else ''}: {parts}; about {readable_seconds(plan.estimated_s)} to run "
        f"({readable_seconds(features)} of it for features; {source})"
    )


def plan_json(plan: Plan, left_out: Iterable[str]) -> dict[str, Any]:
    """The plan as plain values."""
    cells = [
        {
            "data_set": p.cell.data_set.name,
            "backbone": p.cell.backbone.name,
            "weights_origin": p.cell.backbone.weights_origin,
            "head": p.cell.head,
            "seed": p.cell.seed,
            "finetune": p.cell.recipe.finetune,
            "epochs": p.cell.recipe.epochs,
            "key": p.cell.key,
            "state": p.state,
            "to_run": p.to_run,
            "reason": p.reason,
            "estimated_s": round(p.estimated_s, 2),
        }
        for p in plan.cells
    ]
    return {
        "cells": cells,
        "features_s": round(sum(plan.features_s.values()), 2),
        "estimated_s": round(plan.estimated_s, 2),
        "estimated_from": "records" if plan.measured_rates else "rule of thumb",
        "left_out": list(left_out),
    }
