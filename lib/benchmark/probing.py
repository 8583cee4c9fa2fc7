"""Probing a labelled data set: a few cheap cells on a sample of its images, the known cells of a set nobody has run yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lib.benchmark.cell_run import Bench, run_cell
from lib.benchmark.listening import Listener
from lib.benchmark.plan import Cell
from lib.benchmark.prepare import cells_of
from lib.benchmark.selection import ChosenDataSet, Request, Selection
from lib.config import Settings
from lib.datasets import DataSet
from lib.datasets.derived import dominant
from lib.errors import WeightsError
from lib.features.embeddings import are_cached, embeddings_of
from lib.records import RunRecord
from lib.records.schema import MASK_PROBE, PROBE_BACKBONES, PROBE_HEADS, PROBE_IMAGES
from lib.zoo.catalogue import HANDCRAFTED
from lib.zoo.devices import choose_device, choose_precision
from lib.zoo.pairing import incompatibility
from lib.zoo.upscaling import opened_for

MOST_MASKS = 60  # a linear mask on them takes about as long as all of a probe's classes

OnImages = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Probed:
    """What probing measured: finished records that are kept nowhere, and a sentence for whatever could not be probed."""

    records: tuple[RunRecord, ...] = ()
    warnings: tuple[str, ...] = ()


def probe(
    data_set: DataSet,
    settings: Settings,
    backbones: Sequence[str] = PROBE_BACKBONES,
    heads: Sequence[str] = PROBE_HEADS,
    most_images: int = PROBE_IMAGES,
    on_images: OnImages | None = None,
) -> Probed:
    """Runs these cells over the folds of a sample of at most `most_images` images; measures no latency, writes no record. A
    backbone without pretrained weights is left out with a warning: random weights would tell nothing. `on_images(backbone,
    done, total)` is called while images are embedded. Of masks one head is probed, on one fold and fewer images."""
    if data_set.labels is None and data_set.read_mask is None:
        return Probed(warnings=(f"{data_set.name} was not probed: that needs one label an image, or masks",))
    if data_set.labels is None:
        backbones, heads, most_images = MASK_PROBE[:1], MASK_PROBE[1:], min(most_images, MOST_MASKS)
    chosen = sample(data_set, most_images)
    part = restricted(data_set, chosen)
    records, warnings = [], []
    for name in backbones:
        try:
            bench = _bench(data_set, part, chosen, name, settings)
        except WeightsError as error:
            warnings.append(f"{data_set.name} was not probed with {name}: {error}")
            continue
        for cell in _cells(bench, heads, settings):
            reason = incompatibility(cell.data_set, cell.backbone, cell.head, False)
            record = None if reason else run_cell(cell, bench, _Progress(on_images))
            if record and record.status == "finished":
                records.append(record)
            else:
                told = reason or (record and record.reason)
                warnings.append(f"{data_set.name} was not probed with {name} × {cell.head}: {told}")
    return Probed(tuple(records), tuple(warnings))


def sample(data_set: DataSet, most_images: int) -> npt.NDArray[np.int64]:
    """Positions, sorted, of at most `most_images` images that some fold uses: the same ones each time, classes in proportion.
    The folds keep what belongs together on one side, so that any sample of them does too."""
    shuffled = np.random.default_rng(0).permutation(data_set.used)
    if (kinds := data_set.labels) is None:
        assert data_set.mask_areas is not None
        kinds = dominant(data_set.mask_areas)
    labels = kinds[shuffled]
    place = np.zeros(len(shuffled))
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        place[rows] = (np.arange(len(rows)) + 0.5) / len(rows)
    return np.sort(shuffled[np.argsort(place, kind="stable")[:most_images]])


def restricted(data_set: DataSet, chosen: npt.NDArray[np.int64]) -> DataSet:
    """The chosen files alone, each in the part and folds it was in."""
    if len(chosen) == len(data_set):
        return data_set
    read_mask = data_set.read_mask
    names = ("parts", "labels", "hashes", "sizes", "mask_areas")
    arrays = {name: array for name in names if (array := getattr(data_set, name)) is not None}
    return replace(
        data_set,
        files=tuple(data_set.files[i] for i in chosen),
        folds=tuple(parts[chosen] for parts in data_set.folds),
        read_mask=None if read_mask is None else lambda i: read_mask(int(chosen[i])),
        **{name: array[chosen] for name, array in arrays.items()},
    )


def _bench(
    data_set: DataSet, part: DataSet, chosen: npt.NDArray[np.int64], name: str, settings: Settings
) -> Bench:
    """Where the whole set's embeddings are at hand, those of the sample are taken from them."""
    if name != HANDCRAFTED and settings.weights == "random":
        raise WeightsError("random weights were asked for, and they tell nothing")
    backbone, embeddings = opened_for(data_set, name, settings), None
    if part is not data_set and are_cached(data_set, backbone, settings):
        whole = embeddings_of(data_set, backbone, settings)
        seconds = whole.seconds * len(part) / len(data_set)
        embeddings = replace(whole, values=whole.values[chosen], seconds=seconds)
    return Bench(part, name, settings, measures_latency=False, opened=backbone, computed=embeddings)


def _cells(bench: Bench, heads: Sequence[str], settings: Settings) -> Iterator[Cell]:
    precision = choose_precision(settings.precision, choose_device(settings.device))
    chosen = ChosenDataSet(bench.data_set, bench.data_set.info())
    folds = 1 if bench.data_set.labels is None else None
    request = Request((), (bench.backbone_name,), tuple(heads), folds=folds)
    return cells_of(Selection(request, (chosen,), (bench.backbone.info,)), settings, precision)


@dataclass(frozen=True)
class _Progress(Listener):
    on_images: OnImages | None

    def features_progress(self, cell: Cell, done: int, total: int) -> None:
        if self.on_images:
            self.on_images(cell.backbone.name, done, total)
