"""A selection → its cells, ordered so that the features of a data set and a backbone are needed once, in a row."""

from __future__ import annotations

from collections.abc import Iterator

from lib.benchmark.plan import Cell
from lib.benchmark.selection import ChosenDataSet, Selection
from lib.config import Settings
from lib.records import BackboneInfo, DataSetInfo
from lib.zoo.recipes import recipe_for

DEAR_FOLDS = 2


def cells_of(selection: Selection, settings: Settings, precision: str) -> Iterator[Cell]:
    """Data set by data set, backbone by backbone, head by head, seed by seed. `precision`: what the device computes in."""
    for chosen in selection.data_sets:
        for backbone in selection.backbones:
            for head in selection.heads(chosen.info):
                yield from _seeds(selection, chosen, backbone, head, settings, precision)


def _seeds(
    selection: Selection,
    chosen: ChosenDataSet,
    backbone: BackboneInfo,
    head: str,
    settings: Settings,
    precision: str,
) -> Iterator[Cell]:
    recipe = recipe_for(
        head,
        chosen.info.task,
        settings,
        precision="fp32" if backbone.family == "handcrafted" else precision,
        epochs=selection.request.epochs,
        finetune=selection.request.finetune,
    )
    recipe = recipe.model_copy(update={"folds": folds_of(selection, chosen.info)})
    for seed in dict.fromkeys(selection.request.seeds):
        yield Cell(chosen.info, backbone, head, recipe, seed)


def folds_of(selection: Selection, info: DataSetInfo) -> tuple[int, ...]:
    """The folds to run: as many as were asked for; else all, and of dear cells (fine-tuning, masks) the first two."""
    dear = selection.request.finetune or info.task == "segmentation"
    wanted = selection.request.folds or (DEAR_FOLDS if dear else info.n_folds)
    return tuple(range(min(wanted, info.n_folds)))
