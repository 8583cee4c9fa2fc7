"""Which cells of the benchmark are done, cannot work, failed before or are to do, and how long the rest will take."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from lib.records import BackboneInfo, DataSetInfo, Recipe, RunRecord, run_key
from lib.records.costs import Rates
from lib.records.schema import column_of
from lib.zoo.heads import HEADS
from lib.zoo.pairing import incompatibility

CellState = Literal["done", "incompatible", "failed", "to do"]

# Rules of thumb, used where nothing was measured: one busy core of 2024, rounded up. Seconds an image and epoch.
MACS_PER_S = 30e9
READING_S = 0.005
TRAINING_S = {
    "naive": 0.0,
    "knn": 0.0,
    "linear": 2e-4,
    "mlp": 4e-4,
    "student": 8e-4,
    "student_alone": 4e-4,
    "tabular": 8e-4,
    "catboost": 2e-3,
}
OTHER_TRAINING_S = 0.05
BACKWARD_COST = 3.0
CELL_S = 0.3

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

    @property
    def column(self) -> str:
        """The head, `linear (fine-tuned)` where the backbone is trained too."""
        return column_of(self.head, self.recipe.finetune)

    @property
    def needs_features(self) -> bool:
        """Whether it reads the backbone's embeddings."""
        frozen_classes = self.data_set.task == "classification" and not self.recipe.finetune
        return frozen_classes and HEADS[self.head].needs_features

    def __str__(self) -> str:
        tuning = " finetuned" if self.recipe.finetune else ""
        return f"{self.data_set.name} · {self.backbone.name} × {self.head}{tuning} · seed {self.seed}"


@dataclass(frozen=True)
class Estimates:
    """Seconds of a cell before it runs: what records of this kind of machine say, else the rule of thumb."""

    rates: Rates = field(default_factory=Rates)

    def features_s(self, cell: Cell) -> float:
        """Seconds to compute the features of the cell's data set once."""
        images = cell.data_set.n_images
        measured = self.rates.features_s(cell.backbone.name, images)
        return images * (READING_S + cell.backbone.flops / MACS_PER_S) if measured is None else measured

    def training_s(self, cell: Cell) -> float:
        """Seconds to train and evaluate a cell over its folds, features left out."""
        recipe, backbone = cell.recipe, cell.backbone
        images = cell.data_set.n_train * len(recipe.folds)
        measured = self.rates.training_s(cell.head, recipe.finetune, backbone.name, images, recipe.epochs)
        if measured is None:
            finetuned_s = READING_S + BACKWARD_COST * backbone.flops / MACS_PER_S
            an_image_s = finetuned_s if recipe.finetune else TRAINING_S.get(cell.head, OTHER_TRAINING_S)
            measured = an_image_s * images * recipe.epochs
        return CELL_S + measured


@dataclass(frozen=True)
class PlannedCell:
    """A cell and what is to be done about it. `estimated_s`: seconds without computing features; 0 unless `to_run`.
    `features_s`: seconds for features that the cell would have to compute first, where it is priced alone; the plan counts them
    once for all cells that share them. `record`: that of a done cell."""

    cell: Cell
    state: CellState
    reason: str | None = None
    estimated_s: float = 0.0
    to_run: bool = False
    features_s: float = 0.0
    record: RunRecord | None = None

    @property
    def cost_s(self) -> float:
        """Seconds that the cell is expected to take now."""
        return self.estimated_s + self.features_s


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


def plan_cells(
    cells: Iterable[Cell],
    find: FindRecord,
    estimates: Estimates,
    *,
    skip_failed: bool = False,
    cached: Callable[[Cell], bool] = lambda cell: False,
    refused: Callable[[Cell], str | None] = lambda cell: None,
) -> Plan:
    """Looks each cell up with `find` (its record, or None) and estimates what is left; pure but for what `find` reads. Failed
    cells are run again unless `skip_failed`. `cached(cell)`: whether the cell's features are already there; `refused(cell)`: why it must not run, which
    the facts of data set and backbone alone do not tell."""
    planned = tuple(_planned(cell, find, estimates, skip_failed, refused) for cell in cells)
    features = {
        one.cell.group: 0.0 if cached(one.cell) else estimates.features_s(one.cell)
        for one in planned
        if one.to_run and one.cell.needs_features
    }
    return Plan(planned, features, bool(estimates.rates.training))


def _planned(
    cell: Cell,
    find: FindRecord,
    estimates: Estimates,
    skip_failed: bool,
    refused: Callable[[Cell], str | None],
) -> PlannedCell:
    reason = incompatibility(cell.data_set, cell.backbone, cell.head, cell.recipe.finetune) or refused(cell)
    if reason:
        return PlannedCell(cell, "incompatible", reason)
    record = find(cell)
    if record and record.status == "finished":
        return PlannedCell(cell, "done", record=record)
    failed = record is not None and record.status == "failed"
    state: CellState = "failed" if failed else "to do"
    reason = record.reason if record and failed else None
    if failed and skip_failed:
        return PlannedCell(cell, state, reason)
    return PlannedCell(cell, state, reason, estimates.training_s(cell), to_run=True)
