"""Images at full resolution: windows of one size for training, and answers put together from windows that overlap."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from lib.datasets.base import DataSet
from lib.zoo.base import Image, InputSpec
from lib.zoo.preprocessing import Mask

Input = Literal["resized", "crops", "tiles"]
DEFECT_SHARE = 0.5
OVERLAP = 0.25

Corner = tuple[int, int]


def padded(pixels: npt.NDArray[np.generic], height_px: int, width_px: int) -> npt.NDArray[np.generic]:
    """(height, width, …) → at least the given size, the border repeated below and to the right."""
    missing = [
        max(want - have, 0) for want, have in zip((height_px, width_px), pixels.shape[:2], strict=True)
    ]
    pads = [(0, missing[0]), (0, missing[1]), *[(0, 0)] * (pixels.ndim - 2)]
    return np.pad(pixels, pads, mode="edge") if any(missing) else pixels


def tile_corners(sides: tuple[int, ...], window: tuple[int, ...]) -> list[Corner]:
    """Upper left corners of the fewest windows (height, width) that cover an image, spread evenly, a quarter or more of each
    shared."""
    down, right = (_starts(*pair) for pair in zip(sides, window, strict=True))
    return list(itertools.product(down, right))


def _starts(side: int, window: int) -> list[int]:
    if side <= window:
        return [0]
    n = 1 + int(np.ceil((side - window) / (window * (1 - OVERLAP))))
    return np.linspace(0, side - window, n).round().astype(int).tolist()


class Windows:
    """Windows of a data set's images and masks at full resolution, `spec` high and wide.

    `crops`: anywhere, half of them around a pixel of a defect where the image has one; `tiles`: one of those that cover it.
    """

    def __init__(self, data_set: DataSet, spec: InputSpec, kind: Input, seed: int) -> None:
        self.data_set, self.spec, self.kind = data_set, spec, kind
        self.random = np.random.default_rng(seed)

    def drawn(self, indices: npt.NDArray[np.int64]) -> tuple[Image, Mask]:
        """One window of each image: uint8 (n, h, w, 3) and bool (n, n_classes, h, w)."""
        images, masks = zip(*(self._window(index) for index in indices.tolist()), strict=True)
        return np.stack(images), np.stack(masks)

    def whole(self, index: int) -> tuple[Image, Mask]:
        """Image (h, w, 3) and masks (n_classes, h, w), padded to one window at least."""
        assert self.data_set.read_mask is not None
        height, width = self.spec.height_px, self.spec.width_px
        image = padded(self.data_set.read_image(index), height, width)
        masks = np.moveaxis(self.data_set.read_mask(index), 0, -1)
        missing = [(0, have - own) for have, own in zip(image.shape[:2], masks.shape[:2], strict=True)]
        return image, np.moveaxis(np.pad(masks, [*missing, (0, 0)]), -1, 0)  # type: ignore[return-value]

    def _window(self, index: int) -> tuple[Image, Mask]:
        image, masks = self.whole(index)
        y, x = self._corner(masks)
        height, width = self.spec.height_px, self.spec.width_px
        return image[y : y + height, x : x + width], masks[:, y : y + height, x : x + width]

    def _corner(self, masks: Mask) -> Corner:
        sides, window = masks.shape[1:], (self.spec.height_px, self.spec.width_px)
        if self.kind == "tiles":
            corners = tile_corners(sides, window)
            return corners[self.random.integers(len(corners))]
        lowest, highest = (0, 0), tuple(side - size for side, size in zip(sides, window, strict=True))
        defect = np.argwhere(masks.any(axis=0))
        if len(defect) and self.random.random() < DEFECT_SHARE:
            middle = defect[self.random.integers(len(defect))]
            lowest = tuple(np.clip(middle - np.array(window) + 1, 0, highest).tolist())
            highest = tuple(np.clip(middle, 0, highest).tolist())
        y, x = (int(self.random.integers(a, b + 1)) for a, b in zip(lowest, highest, strict=True))
        return y, x


def stitched(
    image: Image, window: tuple[int, int], n_classes: int, answer: Callable[[Image], torch.Tensor], batch: int
) -> torch.Tensor:
    """Probabilities (n_classes, height, width) of an image at least one window large, from its tiles; the mean where they overlap.

    `answer`: uint8 windows (n, height_px, width_px, 3) → probabilities (n, n_classes, height_px, width_px).
    """
    total = torch.zeros((n_classes, *image.shape[:2]))
    times = torch.zeros(image.shape[:2])
    corners = tile_corners(image.shape[:2], window)
    for some in (corners[i : i + batch] for i in range(0, len(corners), batch)):
        tiles = np.stack([image[y : y + window[0], x : x + window[1]] for y, x in some])
        for (y, x), probabilities in zip(some, answer(tiles).cpu(), strict=True):
            total[:, y : y + window[0], x : x + window[1]] += probabilities
            times[y : y + window[0], x : x + window[1]] += 1
    return total / times


def batches_of(indices: npt.NDArray[np.int64], size: int) -> Iterator[npt.NDArray[np.int64]]:
    """Batches as even as can be, none empty."""
    if len(indices):
        yield from np.array_split(indices, -(-len(indices) // size))
