"""A plan as a table for the terminal, as one sentence, and as plain values for JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from rich.table import Table
from rich.text import Text

from lib.benchmark.plan import Plan, PlannedCell
from lib.records import BackboneInfo
from lib.reporting.watching import readable_seconds

STATE_STYLE = {"done": "green", "failed": "red", "incompatible": "dim", "to do": ""}


def plan_table(plan: Plan) -> Table:
    """One row a cell: what it is, its state, the reason or the estimated time."""
    table = Table("data set", "backbone", "head", "seed", "state", "estimate or reason", title="Plan")
    for planned in plan.cells:
        cell = planned.cell
        names = (cell.data_set.name, weights_marked(cell.backbone), cell.head, str(cell.seed))
        table.add_row(
            *map(Text, names), Text(planned.state, STATE_STYLE[planned.state]), Text(_remark(planned))
        )
    return table


def _remark(planned: PlannedCell) -> str:
    estimate = f"about {readable_seconds(planned.estimated_s)}" if planned.to_run else ""
    return "; ".join(part for part in (estimate, planned.reason) if part)


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
    return {
        "cells": [
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
        ],
        "features_s": round(sum(plan.features_s.values()), 2),
        "estimated_s": round(plan.estimated_s, 2),
        "estimated_from": "records" if plan.measured_rates else "rule of thumb",
        "left_out": list(left_out),
    }


def weights_marked(backbone: BackboneInfo) -> str:
    """The backbone's name, with a shout where its weights are random."""
    return f"{backbone.name} (RANDOM WEIGHTS)" if backbone.weights_origin == "random" else backbone.name
