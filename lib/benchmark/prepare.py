"""From a request to a sweep that is ready to run: names looked up, cells planned against the records on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lib.benchmark.cells import cells_of
from lib.benchmark.estimates import Estimates
from lib.benchmark.plan import Cell, Plan, plan_cells
from lib.benchmark.selection import Request, Selection, select
from lib.benchmark.sweep import find_record
from lib.config import Settings
from lib.datasets import DataSet
from lib.features.embeddings import are_cached
from lib.records import RecordStore
from lib.records.costs import Rates
from lib.zoo.backbones import open_backbone
from lib.zoo.devices import choose_device, choose_precision, device_name, set_threads


@dataclass(frozen=True)
class PreparedSweep:
    """A plan and what is needed to run it."""

    selection: Selection
    plan: Plan

    @property
    def data_sets(self) -> Mapping[tuple[str, str], DataSet]:
        """(name, fingerprint) → data set."""
        return {(one.info.name, one.info.fingerprint): one.data_set for one in self.selection.data_sets}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What whoever runs this must know first: what was left out, which weights are random, which sets procedural."""
        random = [info.name for info in self.selection.backbones if info.weights_origin == "random"]
        made = [one.info.name for one in self.selection.data_sets if one.info.procedural]
        return (
            *(f"left out: {sentence}" for sentence in self.selection.left_out),
            *([_random_sentence(random)] if random else []),
            *([f"{', '.join(made)}: procedural images, not photographs"] if made else []),
        )


def _random_sentence(names: list[str]) -> str:
    return f"RANDOM WEIGHTS, never trained: {', '.join(names)}. The numbers exercise the code and mean nothing else"


def prepared(request: Request, settings: Settings, *, skip_failed: bool = False) -> PreparedSweep:
    """Looks up names, loads data sets, reads the records; raises CvAutomlError that lists every wrong name at once."""
    selection = select(request, settings)
    device = choose_device(settings.device)
    threads = set_threads(settings.threads)
    store = RecordStore(settings.runs_dir)
    rates = Rates.of(store.read_all(("finished",))[0], device_name(device), threads)
    plan = plan_cells(
        cells_of(selection, settings, choose_precision(settings.precision, device)),
        lambda cell: find_record(store, cell),
        Estimates(rates),
        skip_failed=skip_failed,
        cached=_cached_features(selection, settings),
    )
    return PreparedSweep(selection, plan)


def _cached_features(selection: Selection, settings: Settings) -> Callable[[Cell], bool]:
    """Whether a cell's features are there; weights that would have to be fetched first have none here."""
    data_sets = {(one.info.name, one.info.fingerprint): one.data_set for one in selection.data_sets}
    opened = {
        info.name: open_backbone(info.name, settings)
        for info in selection.backbones
        if info.weights_origin != "hub"
    }

    def cached(cell: Cell) -> bool:
        backbone = opened.get(cell.backbone.name)
        return backbone is not None and are_cached(data_sets[cell.group[:2]], backbone, settings)

    return cached
