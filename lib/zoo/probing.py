"""Probing a labelled data set: embeddings of `handcrafted` and one small network for a few hundred images, and their landmarks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from lib.config import Settings
from lib.datasets import DataSet
from lib.errors import WeightsError
from lib.features.embeddings import are_cached, embeddings_of
from lib.features.landmarks import landmarks
from lib.zoo.backbones import Backbone, open_backbone
from lib.zoo.catalogue import HANDCRAFTED

PROBES = (HANDCRAFTED, "mobilenetv2_100")
MOST_IMAGES = 300

OnImages = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Probe:
    """What probing found: landmark name → value, and a sentence for whatever could not be probed."""

    landmarks: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def probe(
    data_set: DataSet,
    settings: Settings,
    backbones: Iterable[str] = PROBES,
    on_images: OnImages | None = None,
) -> Probe:
    """Landmarks of a seeded sample of at most MOST_IMAGES images; the test part is never looked at.

    A backbone without pretrained weights is left out with a warning: random weights would be landmarks of nothing. Images
    of the sample are embedded alone unless the whole folder's embeddings are in the cache. `on_images(backbone, done,
    total)` is called meanwhile. Raises DataSetError that names an unreadable image.
    """
    reason = unprobeable(data_set)
    if reason:
        return Probe(warnings=(f"{data_set.name} was not probed: {reason}",))
    assert data_set.labels is not None
    chosen = sample(data_set)
    embedded, warnings = {}, []
    for name in backbones:
        try:
            backbone = _pretrained(name, settings)
        except WeightsError as error:
            warnings.append(f"not probed with {name}: {error}")
            continue
        embedded[name] = _embedded(data_set, chosen, backbone, settings, on_images)
    return Probe(landmarks(embedded, data_set.labels[chosen], settings.split.seed), tuple(warnings))


def unprobeable(data_set: DataSet) -> str | None:
    """Why a data set has no landmarks; None where it can have some."""
    if data_set.task != "classification":
        return "landmarks need one label an image; for masks, probe the view @defect or @dominant"
    if data_set.labels is None:
        return "there are no labels to probe"
    return None


def sample(data_set: DataSet) -> npt.NDArray[np.int64]:
    """Positions, sorted, of at most MOST_IMAGES images of the training and validation parts, the same ones each time."""
    candidates = np.flatnonzero(np.isin(data_set.parts, ("train", "validation")))
    drawn = np.random.default_rng(0).permutation(candidates)[:MOST_IMAGES]
    return np.sort(drawn)


def has_features(data_set: DataSet, backbone: Backbone, settings: Settings) -> bool:
    """Whether probing with this backbone costs a second at most: its embeddings of the whole folder are in the cache."""
    return are_cached(data_set, backbone, settings)


def _pretrained(name: str, settings: Settings) -> Backbone:
    if name != HANDCRAFTED and settings.weights == "random":
        raise WeightsError("random weights were asked for, and they tell nothing")
    return open_backbone(name, settings)


def _embedded(
    data_set: DataSet,
    chosen: npt.NDArray[np.int64],
    backbone: Backbone,
    settings: Settings,
    on_images: OnImages | None,
) -> npt.NDArray[np.float32]:
    def on_batch(done: int, total: int) -> None:
        if on_images:
            on_images(backbone.info.name, done, total)

    if has_features(data_set, backbone, settings):
        return embeddings_of(data_set, backbone, settings, on_batch).values[chosen]
    return embeddings_of(_only(data_set, chosen), backbone, settings, on_batch).values


def _only(data_set: DataSet, chosen: npt.NDArray[np.int64]) -> DataSet:
    """The chosen files alone, as far as embeddings need them."""
    assert data_set.labels is not None
    return replace(
        data_set,
        files=tuple(data_set.files[i] for i in chosen),
        parts=data_set.parts[chosen],
        labels=data_set.labels[chosen],
        hashes=None,
        sizes=None,
        mask_areas=None,
        read_mask=None,
    )
