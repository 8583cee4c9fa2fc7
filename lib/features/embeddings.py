"""Embeddings of a data set: one feature vector an image, computed once per (images, backbone, transform, precision)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lib.clock import Clock
from lib.config import Settings
from lib.datasets.base import DataSet
from lib.features.cache import FeatureCache
from lib.records import BackboneInfo

OnBatch = Callable[[int, int], None]


class Embedder(Protocol):
    """What is needed of a backbone: facts, a key that stands for its features, and the features."""

    info: BackboneInfo
    cache_key: str
    threads: int

    def extract(self, images: Iterable[Any], on_progress: Callable[[int], None] | None = None) -> Any:
        """Features (`.values`, float32 (n, width)) and `.notes` of images given as functions that read them."""


@dataclass(frozen=True)
class Embeddings:
    """`values`: float32 array (n_files, embedding_width) in the order of `data_set.files`.

    `seconds` is what computing them costs once, for all `n_images`, also when they came from the cache.
    """

    values: npt.NDArray[np.float32]
    seconds: float
    from_cache: bool
    notes: tuple[str, ...] = ()

    @property
    def n_images(self) -> int:
        """How many images `seconds` are for: all files of the data set, those of no part among them."""
        return len(self.values)


def embeddings_of(
    data_set: DataSet, backbone: Embedder, settings: Settings, on_batch: OnBatch | None = None
) -> Embeddings:
    """The data set's embeddings, from the cache where they are.

    `on_batch(done, total)` is called while they are computed. Raises DataSetError that names an unreadable image.
    """
    cache, key = _place(data_set, backbone, settings)
    values, facts = cache.read(*key) or (None, {})
    expected = (len(data_set), backbone.info.embedding_width)
    if values is not None and values.shape == expected and np.isfinite(values).all():
        seconds = float(facts.get("seconds", 0))
        return Embeddings(values.astype(np.float32, copy=False), seconds, True)
    total = len(data_set)
    with Clock(backbone.threads) as clock:
        extraction = backbone.extract(
            (partial(data_set.read_image, index) for index in range(total)),
            (lambda done: on_batch(done, total)) if on_batch else None,
        )
    facts = {
        "data_set": data_set.name,
        "backbone": backbone.info.name,
        "cache_key": backbone.cache_key,
        "seconds": f"{clock.seconds:.3f}",
    }
    problem = cache.write(extraction.values, facts, *key)
    notes = (*extraction.notes, problem) if problem else extraction.notes
    return Embeddings(extraction.values, clock.seconds, False, notes)


def are_cached(data_set: DataSet, backbone: Embedder, settings: Settings) -> bool:
    """Whether the embeddings lie in the cache, without reading them: for estimates, no promise that they are whole."""
    cache, key = _place(data_set, backbone, settings)
    return cache.path_of(*key).is_file()


def _place(
    data_set: DataSet, backbone: Embedder, settings: Settings
) -> tuple[FeatureCache, tuple[str, str, str]]:
    order = hashlib.sha256("\n".join(data_set.files).encode()).hexdigest()
    cache = FeatureCache(settings.cache_dir / "embeddings", settings.cache_size_gb)
    return cache, (data_set.images_fingerprint, order, backbone.cache_key)
