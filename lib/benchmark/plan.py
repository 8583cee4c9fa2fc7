"""Which cells of the benchmark are done, cannot work, failed before or are to do, and how long the rest will take."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from lib.benchmark.estimates import Estimates, needs_features
from lib.records import BackboneInfo, DataSetInfo, Recipe, RunRecord, run_key
from lib.zoo.heads import HEADS
from lib.zoo.pairing import incompatibility

CellState = Literal["done", "incompatible", "failed", "to do"]

FindRecord = Callable[["Cell"], RunRecord | None]


@dataclass(frozen=True)
class Cell:
    """One pair on one data set with one way of dividing it, one recipe and one seed: at most one run record."""

    data_set: DataSetInfo
    backbone: BackboneInfo
    head: str
    recipe: Recipe
    seed: int

    @property
    def key(self) -> str:
        """The key of the cell's record."""
        version = HEADS[self.head].version
        return run_key(self.data_set, self.backbone, self.head, version, self.recipe, self.seed)

    @property
    def group(self) -> tuple[str, str, str]:
        """What cells share features by: data set, its fingerprint, backbone."""
        return self.data_set.name, self.data_set.fingerprint, self.backbone.name

    def __str__(self) -> str:
        tuning = " finetuned" if self.recipe.finetune else ""
        return f"{self.data_set.name} · {self.backbone.name} × {self.head}{tuning} · seed {self.seed}"


@dataclass(frozen=True)
class PlannedCell:
    """A cell and what is to be done about it. `estimated_s`: seconds without computing features; 0 unless `to_run`.

    `needs_features`: whether it reads embeddings, whose seconds the plan counts once for all cells that share them.
    `record`: that of a done cell.
    """

    cell: Cell
    state: CellState
    reason: str | None = None
    estimated_s: float = 0.0
    to_run: bool = False
    needs_features: bool = False
    record: RunRecord | None = None


@dataclass(frozen=True)
class Plan:
    """All cells in the order in which they run, and the seconds that features cost for each group of cells that needs them."""

    cells: tuple[PlannedCell, ...]
    features_s: dict[tuple[str, str, str], float]
    measured_rates: bool

    @property
    def estimated_s(self) -> float:
        """Seconds that the cells to run will take."""
        return sum(p.estimated_s for p in self.cells) + sum(self.features_s.values())

    def count(self, state: CellState) -> int:
        """How many cells are in a state."""
        return sum(planned.state == state for planned in self.cells)


def plan_cells(
    cells: Iterable[Cell],
    find: FindRecord,
    estimates: Estimates,
    *,
    skip_failed: bool = False,
    cached: Callable[[Cell], bool] = lambda cell: False,
) -> Plan:
    """Looks each cell up with `find` (its record, or None) and estimates what is left; pure but for what `find` reads.

    Failed cells are run again unless `skip_failed`. `cached(cell)`: whether the cell's features are already there.
    """
    planned = tuple(_planned(cell, find, estimates, skip_failed) for cell in cells)
    features = {
        one.cell.group: 0.0
        if cached(one.cell)
        else estimates.features_s(one.cell.data_set, one.cell.backbone)
        for one in planned
        if one.to_run and one.needs_features
    }
    return Plan(planned, features, estimates.measured)


def _planned(cell: Cell, find: FindRecord, estimates: Estimates, skip_failed: bool) -> PlannedCell:
    reason = incompatibility(cell.data_set, cell.backbone, cell.head, cell.recipe.finetune)
    if reason:
        return PlannedCell(cell, "incompatible", reason)
    record = find(cell)
    if record and record.status == "finished":
        return PlannedCell(cell, "done", record=record)
    estimate = estimates.training_s(cell.data_set, cell.backbone, cell.head, cell.recipe)
    reads = needs_features(cell.head, cell.data_set, cell.recipe)
    if record is None or record.status != "failed":
        return PlannedCell(cell, "to do", None, estimate, True, reads)
    if skip_failed:
        return PlannedCell(cell, "failed", record.reason)
    return PlannedCell(cell, "failed", record.reason, estimate, True, reads)
