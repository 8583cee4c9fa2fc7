"""What a sweep within a budget expects to have found, in a sentence a data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from lib.recommendation.budget_policy import Outlook
from lib.reporting.tables import readable_seconds


def budget_lines(outlooks: Sequence[Outlook], spent_s: float, stopped: str) -> list[str]:
    """When and why the sweep stopped, and what may have been missed of each data set."""
    return [f"stopped after {readable_seconds(spent_s)}: {stopped}", *map(outlook_sentence, outlooks)]


def budget_json(outlooks: Sequence[Outlook], spent_s: float, stopped: str) -> dict[str, Any]:
    """The same as plain values."""
    return {"spent_s": round(spent_s, 2), "stopped": stopped, "outlook": [asdict(one) for one in outlooks]}


def outlook_sentence(outlook: Outlook) -> str:
    """Best measured, best expected of the rest with its 90 % interval, and how likely the grid's best has been found."""
    name = outlook.data_set
    if outlook.measured_best is None:
        return f"{name}: nothing was measured, {outlook.remaining} pairs were not run"
    best = f"{name}: best measured {outlook.measured_best:.4f}"
    if outlook.remaining == 0:
        return f"{best}, the best of the whole grid: every pair was run"
    if outlook.remaining_best is None or outlook.found is None or outlook.share is None:
        return f"{best}; nothing can be said of the {outlook.remaining} pairs not run: too few records of other data sets"
    return (
        f"{best}; best expected of the {outlook.remaining} pairs not run {outlook.remaining_best:.4f} "
        f"(90 %: {outlook.low:.4f} to {outlook.high:.4f}); expected to have found {outlook.share:.1%} of the grid's best, "
        f"and the best pair itself with probability {outlook.found:.0%}"
    )
