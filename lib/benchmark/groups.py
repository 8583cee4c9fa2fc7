"""A sweep cut along its groups (data set, backbone): what shares features stays together, long groups first, shards cost alike."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from lib.benchmark.plan import Cell, Estimates, Plan
from lib.errors import CvAutomlError

UNKNOWN_MEMORY_MB = 2000.0
MEMORY_MARGIN = 1.2

GroupName = tuple[str, str, str]


@dataclass(frozen=True)
class Group:
    """The cells of one data set and one backbone that are to run, in the plan's order, what they are expected to take in
    seconds and in MB of main memory."""

    cells: tuple[Cell, ...]
    expected_s: float
    memory_mb: float


def groups_of(plan: Plan, memory_mb: Mapping[tuple[str, bool], float] | None = None) -> list[Group]:
    """The groups of the cells to run, the longest first. `memory_mb`: (backbone, finetuned) → what its runs took."""
    found = defaultdict(list)
    for planned in plan.cells:
        if planned.to_run:
            found[planned.cell.group].append(planned)
    groups = []
    for name, members in found.items():
        cells = tuple(one.cell for one in members)
        kinds = {(one.backbone.name, one.recipe.finetune) for one in cells}
        known = [
            MEMORY_MARGIN * (memory_mb or {}).get(kind, UNKNOWN_MEMORY_MB / MEMORY_MARGIN) for kind in kinds
        ]
        expected_s = sum(one.estimated_s for one in members) + plan.features_s.get(name, 0.0)
        groups.append(Group(cells, expected_s, max(known)))
    return sorted(groups, key=lambda group: -group.expected_s)


@dataclass(frozen=True)
class Shard:
    """Part `number` (from 1) `of` a sweep."""

    number: int
    of: int

    @classmethod
    def parsed(cls, text: str) -> Shard:
        """`2/5` → the second of five; raises CvAutomlError for anything else."""
        found = re.fullmatch(r"(\d+)/(\d+)", text.strip())
        shard = cls(*map(int, found.groups())) if found else cls(0, 0)
        if not 1 <= shard.number <= shard.of:
            raise CvAutomlError(f"a shard of '{text}': expected i/n with i from 1 to n, for example 2/5")
        return shard


@dataclass
class _Load:
    """What one shard was given so far."""

    number: int
    expected_s: float = 0.0
    names: set[GroupName] = field(default_factory=set)


def shard_of(plan: Plan, shard: Shard) -> Plan:
    """One of n parts of a plan, which together are the plan.

    Every machine must cut alike whenever it starts, so neither what is done nor what was measured counts: all cells are
    weighed by the rule of thumb, and the longest group left goes to the shard with the least so far.
    """
    weights = rule_of_thumb_s(plan)
    loads = [_Load(number) for number in range(1, shard.of + 1)]
    for name in sorted(weights, key=lambda name: (-weights[name], name)):
        least = min(loads, key=lambda load: (load.expected_s, len(load.names), load.number))
        least.expected_s += weights[name]
        least.names.add(name)
    names = loads[shard.number - 1].names
    features = {name: seconds for name, seconds in plan.features_s.items() if name in names}
    cells = tuple(planned for planned in plan.cells if planned.cell.group in names)
    return replace(plan, cells=cells, features_s=features)


def rule_of_thumb_s(plan: Plan) -> dict[GroupName, float]:
    """Seconds of each group by the rule of thumb, as if nothing were done yet."""
    estimates = Estimates()
    weights: dict[GroupName, float] = {}
    with_features: set[GroupName] = set()
    for planned in plan.cells:
        cell, works = planned.cell, planned.state != "incompatible"
        weights[cell.group] = weights.get(cell.group, 0.0) + (estimates.training_s(cell) if works else 0.0)
        if works and cell.needs_features and cell.group not in with_features:
            with_features.add(cell.group)
            weights[cell.group] += estimates.features_s(cell)
    return weights
