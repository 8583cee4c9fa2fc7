"""The sweep of a fit: frozen pairs in the order of what they are expected to bring a second, then the best ones fine-tuned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from lib.fit.hearing import Hearing, OutOfTime
from lib.performance_prediction.boosting.cells import Pair
from lib.recommendation.budget_policy import BudgetPolicy, Option
from lib.records import BackboneInfo, DataSetInfo, RecordStore, RunRecord
from lib.records.costs import Rates
from lib.zoo.backbones import open_backbone
from lib.zoo.devices import choose_device, choose_precision

CLASS_HEADS = ("linear", "mlp", "student")
MASK_HEADS = ("linear_mask", "fpn", "unet", "deeplabv3plus", "segformer")
TUNED_HEADS = {"classification": "linear", "segmentation": "deeplabv3plus"}
TUNED_FOLDS = 2
DECODER = 2.0  # a decoder's share of a mask network's time, on top of the backbone's
BACKWARD = 3.5  # a training step on images, in forward passes
FOUND = 0.97  # probability of having found the best pair from which nothing else is run
GOOD_ENOUGH = 0.998
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
        unknown = [one for one in remaining if _pair(one.cell) not in self.known]
        if not unknown and outlook.found is not None and outlook.found >= FOUND:
            self.stopped = (
                f"nothing promising is left: with probability {outlook.found:.2f} none of the {len(remaining)} pairs that were "
                "not run is better than what was found"
            )
            return None
        self.within.budget_s = self.within.spent_s() + self.hearing.left_s()
        chosen = self.within.next(remaining, finished)
        if not finished and (chosen is None or chosen.cost_s > FIRST_SHARE * self.hearing.left_s()):
            # Better one model than none: estimates are rough, and the clock ends it in time.
            chosen = min(remaining, key=lambda one: one.cost_s)
        self.stopped = "" if chosen else self.within.stopped
        return chosen


def _pair(cell: Cell) -> Pair:
    return Pair(cell.backbone.name, cell.column)


@dataclass
class Search:
    """Runs cells on the inner folds and keeps their records in OUT/records. `settings`: those of OUT; `rates`: seconds from the
    records there were before; `stopped`: why no further cell was run; `slowness`: how much longer cells took than they should."""

    data_set: DataSet
    networks: Sequence[BackboneInfo]
    settings: Settings
    rates: Rates
    policy: BudgetPolicy
    hearing: Hearing
    seed: int
    stopped: str = ""
    slowness: float = 1.0
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

    def frozen(self) -> None:
        """The frozen pairs, until time is up or nothing promising is left."""
        heads = CLASS_HEADS if self.data_set.task == "classification" else MASK_HEADS
        plan = self.plan(self.networks, heads)
        self._run(plan)

    def _run(self, plan: Plan) -> None:
        left = self.hearing.left_s()
        info = self.info
        known = frozenset(one.pair for one in self.policy.expected(info, []))
        clock = Within(left, self._rank, now=self.hearing.spent)
        ordering = Promising(self.policy, info, clock, self.hearing, known)
        sets = {(info.name, info.fingerprint): self.data_set}
        try:
            run_sweep(plan, sets, self.settings, self.hearing, ordering, measures_latency=False)
        except OutOfTime:
            ordering.stopped = "the time is up"
        self.stopped, self.slowness = ordering.stopped or "every pair was run", ordering.within.slowness()

    def _rank(self, cells: Sequence[PlannedCell], finished: Sequence[RunRecord]) -> list[int]:
        options = [Option(p.cell.data_set, _pair(p.cell), p.cell.seed, p.cost_s) for p in cells]
        return self.policy.order(options, finished)

    def plan(
        self,
        networks: Sequence[BackboneInfo],
        heads: Sequence[str],
        finetune: bool = False,
    ) -> Plan:
        """The cells of networks × heads against the records of this fit."""
        folds = TUNED_FOLDS if finetune else None
        names = tuple(one.name for one in networks)
        request = Request((), names, tuple(heads), (self.seed,), None, finetune, folds=folds)
        selection = Selection(request, (ChosenDataSet(self.data_set, self.info),), tuple(networks))
        precision = choose_precision(self.settings.precision, choose_device(self.settings.device))
        return plan_cells(
            cells_of(selection, self.settings, precision),
            lambda cell: find_done(self.store, cell, self.settings),
            Estimates(self.rates),
            skip_failed=True,
            cached=lambda cell: are_cached(self.data_set, self._backbone(cell.backbone.name), self.settings),
        )

    def _backbone(self, name: str) -> Any:
        if name not in self.backbones:
            self.backbones[name] = open_backbone(name, self.settings)
        return self.backbones[name]

    def finetuned(self, refit_s: Callable[[float], float]) -> None:
        """The networks of the best frozen pairs, fine-tuned on two folds, as long as that and training the winner again is
        expected to fit. `refit_s`: seconds of one fold → seconds of what follows."""
        for name in self._tuning_order():
            info = next(one for one in self.networks if one.name == name)
            plan = self.plan([info], [TUNED_HEADS[self.data_set.task]], finetune=True)
            cell = plan.cells[0]
            if not cell.to_run or self._hopeless(_pair(cell.cell)):
                continue
            fold_s = self.tuning_s(cell.cell)
            left = self.hearing.left_s()
            if fold_s * len(cell.cell.recipe.folds) + refit_s(fold_s) > left:
                self.stopped = f"fine-tuning {name} is expected to take {fold_s:.0f} s a fold, {max(left, 0):.0f} s are left"
                continue
            self._tune(plan)

    def _tune(self, plan: Plan) -> None:
        info = self.info
        sets = {(info.name, info.fingerprint): self.data_set}
        try:
            run_sweep(plan, sets, self.settings, self.hearing, measures_latency=False)
            self.stopped = "every promising pair was fine-tuned"
        except OutOfTime:
            self.stopped = "the time is up"

    def _hopeless(self, pair: Pair) -> bool:
        """Whether other data sets' records leave a pair no chance of being better than what was found."""
        found = self.finished()
        best = max((one.quality(metric=self.hearing.metric) or 0.0 for one in found), default=0.0)
        known = {one.pair: one.high for one in self.policy.expected(self.info, found)}
        return known.get(pair, 1.0) < best

    def _tuning_order(self) -> list[str]:
        """Networks by their best frozen pair, none where that leaves nothing to gain."""
        metric = self.hearing.metric
        best: dict[str, float] = {}
        for record in self.finished():
            if not record.recipe.finetune:
                name = record.backbone.name
                best[name] = max(best.get(name, 0.0), record.quality(metric=metric) or 0.0)
        if best and max(best.values()) >= GOOD_ENOUGH:
            return []
        return sorted(best, key=lambda name: -best[name])

    def tuning_s(self, cell: Cell) -> float:
        """Seconds that one fold of fine-tuning takes: as this run's or earlier records say, else passes over the images at the
        speed that this run has seen."""
        head, name, images = cell.head, cell.backbone.name, cell.data_set.n_train
        for rates in (Rates.of(self.finished(), self._device()), self.rates):
            known = rates.training_s(head, True, name, images, cell.recipe.epochs)
            if known is not None:
                return known * self.slowness
        passes = BACKWARD * images * cell.recipe.epochs
        judged = (cell.data_set.n_images - images) * (cell.recipe.epochs + 1)
        return (passes + judged + cell.data_set.n_images) * self._image_s(cell) * self.slowness

    def _image_s(self, cell: Cell) -> float:
        """Seconds of one image in one forward pass."""
        own = Rates.of(self.finished(), self._device())
        rate = own.features.get(cell.backbone.name) or self.rates.features.get(cell.backbone.name)
        if rate is not None:
            return rate
        pixels = cell.recipe.image_height_px * cell.recipe.image_width_px
        larger = DECODER * pixels / cell.backbone.input_size_px**2 if pixels else 1.0
        return Estimates().features_s(cell) / cell.data_set.n_images * max(larger, 1.0)

    def _device(self) -> str:
        from lib.zoo.devices import device_name

        return device_name(choose_device(self.settings.device))
