"""Images and masks of a data set at the recipe's size, kept in memory while there is room."""

from __future__ import annotations

from collections import ChainMap
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from lib.datasets.base import DataSet
from lib.errors import DataSetError
from lib.zoo.base import Image, InputSpec
from lib.zoo.preprocessing import resized
from lib.zoo.reading import READING_THREADS

Mask = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]

IN_MEMORY_BYTES = 1_000_000_000


@dataclass
class SizedImages:
    """Reads images (height_px, width_px, 3) and masks (n_classes, height_px, width_px), both resized whole.

    Masks are resized by the nearest pixel, so every metric refers to this size and not to the original one.
    """

    data_set: DataSet
    spec: InputSpec
    _kept_images: dict[int, Image] = field(default_factory=dict)
    _kept_masks: dict[int, npt.NDArray[np.uint8]] = field(default_factory=dict)

    @classmethod
    def of(cls, data_set: DataSet, spec: InputSpec, height_px: int, width_px: int) -> SizedImages:
        """Images of the data set at another size than the backbone's usual one; raises DataSetError without masks."""
        if data_set.read_mask is None:
            raise DataSetError(f"data set '{data_set.name}' has no masks: segmentation needs them")
        return cls(data_set, replace(spec, height_px=height_px, width_px=width_px))

    def forget(self) -> None:
        """Gives the memory back."""
        self._kept_images.clear()
        self._kept_masks.clear()

    def images(self, indices: Indices) -> Image:
        """uint8 array (n, height_px, width_px, 3)."""
        missing = [int(index) for index in indices if int(index) not in self._kept_images]
        with ThreadPoolExecutor(READING_THREADS) as pool:
            read = dict(zip(missing, pool.map(self._read_image, missing), strict=True))
        known = ChainMap(read, self._kept_images)
        room = IN_MEMORY_BYTES // (3 * self.spec.height_px * self.spec.width_px) - len(self._kept_images)
        self._kept_images.update(list(read.items())[: max(room, 0)])
        return np.stack([known[int(index)] for index in indices])

    def masks(self, indices: Indices) -> Mask:
        """bool array (n, n_classes, height_px, width_px)."""
        shape = (len(self.data_set.classes), self.spec.height_px, self.spec.width_px)
        packed = [self._packed_mask(int(index)) for index in indices]
        bits = np.unpackbits(np.stack(packed), axis=1, count=int(np.prod(shape)))
        return bits.reshape(len(packed), *shape).astype(bool)

    def _read_image(self, index: int) -> Image:
        return resized(self.data_set.read_image(index), self.spec)

    def _packed_mask(self, index: int) -> npt.NDArray[np.uint8]:
        # Eight pixels a byte: the masks of ten thousand images fit into memory.
        if index not in self._kept_masks:
            assert self.data_set.read_mask is not None
            mask = resized_mask(self.data_set.read_mask(index), self.spec.height_px, self.spec.width_px)
            self._kept_masks[index] = np.packbits(mask)
        return self._kept_masks[index]


def resized_mask(mask: Mask, height_px: int, width_px: int) -> Mask:
    """bool (n_classes, h, w) → (n_classes, height_px, width_px) by the nearest pixel."""
    if mask.shape[1:] == (height_px, width_px):
        return mask
    size, method = (width_px, height_px), PillowImage.Resampling.NEAREST
    layers = [
        np.asarray(PillowImage.fromarray(layer.astype(np.uint8)).resize(size, method)) for layer in mask
    ]
    return np.stack(layers).astype(bool)
