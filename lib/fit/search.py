"""The sweep of a fit: frozen and fine-tuned pairs in the order of what they are expected to bring a second."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from lib.benchmark.budget import Within
from lib.benchmark.plan import Cell, Estimates, Plan, PlannedCell, plan_cells
from lib.benchmark.prepare import cells_of
from lib.benchmark.selection import ChosenDataSet, Request, Selection
from lib.benchmark.sweep import find_done, run_sweep
from lib.config import Settings
from lib.datasets import DataSet
from lib.features.embeddings import are_cached
from lib.fit.hearing import AGAIN, Hearing, OutOfTime
from lib.performance_prediction.boosting.cells import Pair
from lib.recommendation.budget_policy import BudgetPolicy, Option, Outlook
from lib.records import BackboneInfo, DataSetInfo, RecordStore, RunRecord
from lib.records.costs import Rates
from lib.zoo.backbones import open_backbone
from lib.zoo.devices import choose_device, choose_precision

CLASS_HEADS = ("linear", "mlp", "student")
MASK_HEADS = ("linear_mask", "fpn", "unet", "deeplabv3plus", "segformer")
TUNED_HEADS = {"classification": "linear", "segmentation": "deeplabv3plus"}
TUNED_FOLDS = 2
TUNED_SHARE = 0.6  # of the time, that fine-tuning one network may take, training it again included
SHORTER = (1.0, 0.6, 0.4)  # of a recipe's epochs, where all of them would take more than that
GOOD_ENOUGH = 0.998
FOUND = 0.97  # probability of having found the best pair from which nothing else is run
FIRST_SHARE = 0.15  # of the time, that a pair may be expected to take while there is no model yet


@dataclass
class Promising:
    """The policy's order within the time, until nothing that is left is likely to be better than what was found."""

    policy: BudgetPolicy
    info: DataSetInfo
    within: Within
    hearing: Hearing
    known: frozenset[Pair]
    stopped: str = ""

    def next(self, remaining: Sequence[PlannedCell], finished: Sequence[RunRecord]) -> PlannedCell | None:
        """As `Ordering.next`."""
        outlook = self.policy.outlook(self.info, [_pair(p.cell) for p in remaining], finished)
        self.hearing.outlook = outlook
        self.stopped = self._enough(remaining, outlook)
        if self.stopped:
            return None
        left = self.hearing.left_s()
        self.within.budget_s = self.within.spent_s() + left
        slowness = self.within.slowness()
        ready = [one for one in remaining if handed_over_s(one) * slowness <= left]
        chosen = self.within.next(ready, finished) if ready else None
        if not finished and (chosen is None or chosen.cost_s > FIRST_SHARE * left):
            # Better one model than none: estimates are rough, and the clock ends it in time.
            chosen = min(remaining, key=lambda one: one.cost_s)
        if chosen is None:
            cheapest = slowness * min(map(handed_over_s, remaining))
            self.stopped = (
                f"{max(left, 0):.0f} s are left to search, the cheapest of {len(remaining)} pairs that were not run is expected to "
                f"take {cheapest:.0f} s"
            )
        return chosen

    def _enough(self, remaining: Sequence[PlannedCell], outlook: Outlook) -> str:
        """Why nothing else is worth its time; empty where something is."""
        if (outlook.measured_best or 0.0) >= GOOD_ENOUGH:
            return f"there is nothing to gain over {outlook.measured_best:.4f}"
        unknown = [one for one in remaining if _pair(one.cell) not in self.known]
        if unknown or outlook.found is None or outlook.found < FOUND:
            return ""
        return (
            f"nothing promising is left: with probability {outlook.found:.2f} none of the {len(remaining)} pairs that were "
            "not run is better than what was found"
        )


def handed_over_s(planned: PlannedCell) -> float:
    """Seconds of a cell; where the network is fine-tuned, of training it again on everything too."""
    recipe = planned.cell.recipe
    return planned.cost_s * (1 + AGAIN / len(recipe.folds) if recipe.finetune else 1.0)


def _pair(cell: Cell) -> Pair:
    return Pair(cell.backbone.name, cell.column)


@dataclass
class Search:
    """Runs cells on the inner folds and keeps their records in OUT/records. `settings`: those of OUT; `rates`: seconds from the
    records there were before; `stopped`: why no further cell was run; `known`: pairs that other data sets' records tell of."""

    data_set: DataSet
    networks: Sequence[BackboneInfo]
    settings: Settings
    rates: Rates
    policy: BudgetPolicy
    hearing: Hearing
    seed: int
    stopped: str = ""
    known: frozenset[Pair] = frozenset()
    backbones: dict[str, Any] = field(default_factory=dict)

    @property
    def info(self) -> DataSetInfo:
        """The inner data set as its records name it."""
        return self.data_set.info()

    @property
    def store(self) -> RecordStore:
        """The records of this fit."""
        return RecordStore(self.settings.runs_dir)

    def finished(self) -> list[RunRecord]:
        """This fit's finished records."""
        return self.store.read_all(("finished",))[0]

    def run(self, finetune: bool) -> None:
        """Every pair until time is up or nothing promising is left; fine-tuned ones where `finetune`."""
        info, left = self.info, self.hearing.left_s()
        self.known = frozenset(one.pair for one in self.policy.expected(info, []))
        plan = self.plan(finetune)
        clock = Within(left, self._rank, now=self.hearing.spent)
        ordering = Promising(self.policy, info, clock, self.hearing, self.known)
        sets = {(info.name, info.fingerprint): self.data_set}
        try:
            run_sweep(plan, sets, self.settings, self.hearing, ordering, measures_latency=False)
        except OutOfTime:
            ordering.stopped = "the time is up"
        self.stopped = ordering.stopped or "every pair was run"

    def _rank(self, cells: Sequence[PlannedCell], finished: Sequence[RunRecord]) -> list[int]:
        """The policy's order; fine-tuned pairs that no record knows last, those of the best frozen networks first."""
        options = [Option(p.cell.data_set, _pair(p.cell), p.cell.seed, p.cost_s) for p in cells]
        best: dict[str, float] = {}
        for one in finished:
            quality = one.quality(metric=self.hearing.metric, part="validation") or 0.0
            best[one.backbone.name] = max(best.get(one.backbone.name, 0.0), quality)

        def last(i: int) -> float:
            cell = cells[i].cell
            if not cell.recipe.finetune or _pair(cell) in self.known:
                return 0.0
            return 2.0 - best.get(cell.backbone.name, 0.0)

        return sorted(self.policy.order(options, finished), key=last)

    def plan(self, finetune: bool) -> Plan:
        """The cells of this fit against its records."""
        heads = CLASS_HEADS if self.data_set.task == "classification" else MASK_HEADS
        cells = [*self._cells(self.networks, heads)]
        if finetune:
            cells += [self._tuned(one) for one in self.networks]
        return plan_cells(
            cells,
            lambda cell: find_done(self.store, cell, self.settings),
            self._estimates,
            skip_failed=True,
            cached=lambda cell: are_cached(self.data_set, self._backbone(cell.backbone.name), self.settings),
        )

    @property
    def _estimates(self) -> Estimates:
        return Estimates(self.rates)

    def _tuned(self, network: BackboneInfo) -> Cell:
        """Fine-tuned for as many of its recipe's epochs as take a part of the time."""
        head, limit = TUNED_HEADS[self.data_set.task], TUNED_SHARE * self.hearing.left_s()
        (full,) = self._cells([network], [head], finetune=True)
        for share in SHORTER:
            epochs = max(round(share * full.recipe.epochs), 1)
            (cell,) = self._cells([network], [head], finetune=True, epochs=epochs)
            if self._estimates.training_s(cell) * (1 + AGAIN / len(cell.recipe.folds)) <= limit:
                break
        return cell

    def _cells(
        self,
        networks: Sequence[BackboneInfo],
        heads: Sequence[str],
        finetune: bool = False,
        epochs: int | None = None,
    ) -> Iterator[Cell]:
        names, folds = tuple(one.name for one in networks), TUNED_FOLDS if finetune else None
        request = Request((), names, tuple(heads), (self.seed,), epochs, finetune, folds=folds)
        selection = Selection(request, (ChosenDataSet(self.data_set, self.info),), tuple(networks))
        precision = choose_precision(self.settings.precision, choose_device(self.settings.device))
        return cells_of(selection, self.settings, precision)

    def _backbone(self, name: str) -> Any:
        if name not in self.backbones:
            self.backbones[name] = open_backbone(name, self.settings)
        return self.backbones[name]
