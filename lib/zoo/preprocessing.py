"""From the images of a data set to what a network expects: read ahead, resized whole, kept while there is room, normalised."""

from __future__ import annotations

import itertools
from collections import ChainMap, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from lib.datasets.base import DataSet
from lib.errors import DataSetError
from lib.zoo.base import Image, InputSpec

if TYPE_CHECKING:
    import torch

Value = TypeVar("Value")
Source = TypeVar("Source")
Mask = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]

# Decoding and resizing leave Python's lock free; two threads keep up with a network on a CPU and hardly disturb it.
READING_THREADS = 2
KEPT_BYTES = 2 * 2**30
KNOWN_INTERPOLATIONS = {method.name.lower(): method for method in PillowImage.Resampling}


def read_ahead(sources: Iterable[Source], prepare: Callable[[Source], Value], ahead: int) -> Iterator[Value]:
    """`prepare` of each source, in order, computed in threads up to `ahead` places early.

    An error of `prepare` is raised at its place; what is waiting then is given up.
    """
    waiting: deque[Future[Value]] = deque()
    iterator = iter(sources)
    with ThreadPoolExecutor(READING_THREADS, thread_name_prefix="read-image") as pool:
        try:
            waiting.extend(pool.submit(prepare, source) for source in itertools.islice(iterator, ahead))
            while waiting:
                yield waiting.popleft().result()
                waiting.extend(pool.submit(prepare, source) for source in itertools.islice(iterator, 1))
        finally:
            pool.shutdown(cancel_futures=True)


def resized(image: Image, spec: InputSpec) -> Image:
    """uint8 image (height, width, 3) → (height_px, width_px, 3) by the network's own interpolation, antialiased."""
    if image.shape[:2] == (spec.height_px, spec.width_px):
        return image
    if spec.enlarge and (image.shape[0] < spec.height_px or image.shape[1] < spec.width_px):
        return spec.enlarge(image, spec.height_px, spec.width_px)
    method = KNOWN_INTERPOLATIONS.get(spec.interpolation, PillowImage.Resampling.BICUBIC)
    return np.asarray(PillowImage.fromarray(image).resize((spec.width_px, spec.height_px), method))


def resized_mask(mask: Mask, height_px: int, width_px: int) -> Mask:
    """bool (n_classes, h, w) → (n_classes, height_px, width_px) by the nearest pixel."""
    if mask.shape[1:] == (height_px, width_px):
        return mask
    layers = (PillowImage.fromarray(layer.astype(np.uint8)) for layer in mask)
    nearest = PillowImage.Resampling.NEAREST
    return np.stack([np.asarray(one.resize((width_px, height_px), nearest)) for one in layers]).astype(bool)


def normalised_tensor(images: torch.Tensor, spec: InputSpec) -> torch.Tensor:
    """uint8 (h, w, 3) or (n, h, w, 3) on any device → float32 (3, h, w) or (n, 3, h, w): values / 255, minus mean, over std.

    The result is a channels-last view, which convolutions prefer.
    """
    images = images.float()
    std = images.new_tensor(spec.std)
    return (images / (255.0 * std) - images.new_tensor(spec.mean) / std).movedim(-1, -3)


class Kept(Generic[Value]):
    """Arrays (or tuples of them) by position, computed once and kept up to `limit_bytes`; the others are computed each time."""

    def __init__(
        self, compute: Callable[[list[int]], Iterable[Value]], limit_bytes: int = KEPT_BYTES
    ) -> None:
        self.compute, self.room = compute, limit_bytes
        self.kept: dict[int, Value] = {}

    def of(self, indices: Indices) -> list[Value]:
        """The values at the positions; those missing are computed together."""
        missing = [i for i in dict.fromkeys(indices.tolist()) if i not in self.kept]
        computed = dict(zip(missing, self.compute(missing), strict=True)) if missing else {}
        for index, value in computed.items():
            size = sum(part.nbytes for part in (value if isinstance(value, tuple) else (value,)))
            if size <= self.room:
                self.kept[index], self.room = value, self.room - size
        known = ChainMap(computed, self.kept)
        return [known[i] for i in indices.tolist()]


class SizedImages:
    """Images (height_px, width_px, 3) and masks (n_classes, height_px, width_px) of a data set, both resized whole to `spec`.

    Masks are resized by the nearest pixel, so every metric refers to this size and not to the original one.
    """

    def __init__(self, data_set: DataSet, spec: InputSpec) -> None:
        self.data_set, self.spec = data_set, spec
        self.forget()

    @classmethod
    def of(cls, data_set: DataSet, spec: InputSpec, height_px: int, width_px: int) -> SizedImages:
        """Images of the data set at another size than the backbone's usual one; raises DataSetError without masks."""
        if data_set.read_mask is None:
            raise DataSetError(f"data set '{data_set.name}' has no masks: segmentation needs them")
        return cls(data_set, replace(spec, height_px=height_px, width_px=width_px))

    def forget(self) -> None:
        """Gives the memory back."""
        self._images: Kept[Image] = Kept(self._read_images)
        # Eight pixels a byte: the masks of ten thousand images fit into memory.
        self._masks: Kept[npt.NDArray[np.uint8]] = Kept(lambda indices: map(self._packed_mask, indices))

    def images(self, indices: Indices) -> Image:
        """uint8 array (n, height_px, width_px, 3)."""
        return np.stack(self._images.of(indices))

    def masks(self, indices: Indices) -> Mask:
        """bool array (n, n_classes, height_px, width_px)."""
        shape = (len(self.data_set.classes), self.spec.height_px, self.spec.width_px)
        bits = np.unpackbits(np.stack(self._masks.of(indices)), axis=1, count=int(np.prod(shape)))
        return bits.reshape(len(indices), *shape).astype(bool)

    def _read_images(self, indices: list[int]) -> list[Image]:
        with ThreadPoolExecutor(READING_THREADS) as pool:
            return list(pool.map(lambda i: resized(self.data_set.read_image(i), self.spec), indices))

    def _packed_mask(self, index: int) -> Any:
        assert self.data_set.read_mask is not None
        return np.packbits(
            resized_mask(self.data_set.read_mask(index), self.spec.height_px, self.spec.width_px)
        )
