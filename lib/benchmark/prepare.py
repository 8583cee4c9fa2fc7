"""From a request to a sweep that is ready to run: names looked up, cells planned against the records on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lib.benchmark.groups import Shard, shard_of
from lib.benchmark.plan import Cell, Estimates, Plan, plan_cells
from lib.benchmark.selection import Request, Selection, select
from lib.benchmark.sweep import find_done
from lib.config import Settings
from lib.features.embeddings import are_cached
from lib.inference.models import can_be_kept
from lib.records import DataSetInfo, RecordStore
from lib.records.costs import Rates
from lib.records.schema import head_of
from lib.zoo.backbones import open_backbone
from lib.zoo.devices import choose_device, choose_precision, device_name, set_threads
from lib.zoo.recipes import recipe_for
from lib.zoo.ssl.leaks import leak

DEAR_FOLDS = 2


@dataclass(frozen=True)
class PreparedSweep:
    """A plan and what is needed to run it."""

    selection: Selection
    plan: Plan
    keep_models: bool = False

    @property
    def warnings(self) -> tuple[str, ...]:
        """What whoever runs this must know first: what was left out, which weights are random, which sets procedural."""
        random = [info.name for info in self.selection.backbones if info.weights_origin == "random"]
        made = [one.info.name for one in self.selection.data_sets if one.info.procedural]
        running = [one.cell for one in self.plan.cells if one.to_run and self.keep_models]
        pairs = [f"{c.backbone.name} × {c.head}" for c in running if not can_be_kept(c.head, c.backbone)]
        unkept = dict.fromkeys(pairs)
        means_nothing = "The numbers exercise the code and mean nothing else"
        return (
            *(f"left out: {sentence}" for sentence in self.selection.left_out),
            *([f"RANDOM WEIGHTS, never trained: {', '.join(random)}. {means_nothing}"] if random else []),
            *([f"{', '.join(made)}: procedural images, not photographs"] if made else []),
            *([f"no networks, so their models cannot be kept: {', '.join(unkept)}"] if unkept else []),
        )


def prepared(
    request: Request, settings: Settings, *, skip_failed: bool = False, shard: str | None = None
) -> PreparedSweep:
    """Looks up names, loads data sets, reads the records. `shard`: `i/n` for a part of it. Raises CvAutomlError that lists every
    wrong name at once."""
    part = Shard.parsed(shard) if shard else None
    selection = select(request, settings)
    device = choose_device(settings.device)
    threads = set_threads(settings.threads)
    store = RecordStore(settings.runs_dir)
    rates = Rates.of(store.read_all(("finished",))[0], device_name(device), threads)
    plan = plan_cells(
        cells_of(selection, settings, choose_precision(settings.precision, device)),
        lambda cell: find_done(store, cell, settings),
        Estimates(rates),
        skip_failed=skip_failed,
        cached=_cached_features(selection, settings),
        refused=_leaking(selection, settings),
    )
    return PreparedSweep(selection, shard_of(plan, part) if part else plan, settings.keep_models)


def cells_of(selection: Selection, settings: Settings, precision: str) -> Iterator[Cell]:
    """Data set by data set, backbone by backbone, head by head, seed by seed, so that the features of a data set and a backbone
    are needed once, in a row. `precision`: what the device computes in."""
    request = selection.request
    for one, info in ((one, one.info) for one in selection.data_sets):
        for backbone in selection.backbones:
            for column in selection.heads(info, backbone):
                if request.design and (info.name, backbone.name, column) not in request.design.to_run:
                    continue
                head, tuned = head_of(column)
                finetune = request.finetune or tuned
                own = "fp32" if backbone.family == "handcrafted" else precision
                recipe = recipe_for(
                    head,
                    info.task,
                    settings,
                    precision=own,
                    epochs=request.epochs,
                    finetune=finetune,
                    sizes=one.data_set.sizes,
                )
                recipe = recipe.model_copy(update={"folds": folds_of(request, info, finetune)})
                for seed in dict.fromkeys(request.seeds):
                    yield Cell(info, backbone, head, recipe, seed)


def folds_of(request: Request, info: DataSetInfo, finetune: bool) -> tuple[int, ...]:
    """The folds to run: as many as were asked for; else all, and of dear cells (fine-tuning, masks) the first two."""
    dear = finetune or info.task == "segmentation"
    return tuple(range(min(request.folds or (DEAR_FOLDS if dear else info.n_folds), info.n_folds)))


def _leaking(selection: Selection, settings: Settings) -> Callable[[Cell], str | None]:
    """Why a tuned backbone must not be tested on a cell's folds."""

    def leaking(cell: Cell) -> str | None:
        data_set = selection.by_fingerprint[cell.group[:2]]
        return leak(cell.backbone.name, data_set, cell.data_set.split, cell.recipe.folds, settings)

    return leaking


def _cached_features(selection: Selection, settings: Settings) -> Callable[[Cell], bool]:
    """Whether a cell's features are there; weights that would have to be fetched first have none here."""
    at_hand = (info.name for info in selection.backbones if info.weights_origin != "hub")
    opened = {name: open_backbone(name, settings) for name in at_hand}

    def cached(cell: Cell) -> bool:
        backbone = opened.get(cell.backbone.name)
        data_set = selection.by_fingerprint[cell.group[:2]]
        return backbone is not None and are_cached(data_set, backbone, settings)

    return cached
