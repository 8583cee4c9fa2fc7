"""The feature maps of a frozen network, computed once: kept in memory while there is room, and on disk for other runs."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterable, Iterator

import numpy as np
import torch

from lib.features.cache import FeatureCache
from lib.zoo.devices import dtype_of, physical_memory_bytes
from lib.zoo.preprocessing import Indices, Kept, SizedImages, normalised_tensor
from lib.zoo.segmentation.crops import batches_of
from lib.zoo.segmentation.pyramid import Maps, Pyramid

KEPT_BYTES = 4_000_000_000
KEPT_SHARE = 0.25
FILLED_AT_ONCE = 32
LARGEST = torch.finfo(torch.float16).max


class FrozenMaps:
    """The network's own maps of images by their position, in half precision, from a frozen copy in the given precision.

    Kept in main memory up to 4 GB or a quarter of it, whichever is less, and in `disk` where there is one; what is in neither is
    computed each time, to the same numbers. `saved_s`: seconds that the maps read from disk once cost.
    """

    def __init__(
        self,
        pyramid: Pyramid,
        sized: SizedImages,
        device: torch.device,
        precision: str,
        disk: FeatureCache | None = None,
        cache_key: str = "",
    ) -> None:
        self.sized, self.device, self.dtype, self.disk = sized, device, dtype_of(precision), disk
        self.pyramid = copy.deepcopy(pyramid).eval().requires_grad_(False).to(self.dtype)
        shapes = f"{pyramid.indices} {pyramid.input_size} {sized.spec.digest()}"
        self.key = f"maps {cache_key} {shapes} {sized.data_set.images_fingerprint}"
        self.saved_s = 0.0
        self.forget()

    def forget(self) -> None:
        """Gives the memory back; the network stays."""
        room = min(KEPT_BYTES, int(KEPT_SHARE * physical_memory_bytes()))
        self.maps: Kept[Maps] = Kept(self._found, room)

    def fill(self, indices: Indices) -> None:
        """Computes the maps of all these images once, where there is a disk to keep those that memory has no room for."""
        for batch in batches_of(indices, FILLED_AT_ONCE) if self.disk else ():
            self.maps.of(batch)

    def of(self, indices: Indices) -> Maps:
        """The maps (n, c, h, w) on the device, channels last, as float32."""
        levels = zip(*self.maps.of(indices), strict=True)
        return tuple(_placed(torch.stack([one.float() for one in level]), self.device) for level in levels)

    @torch.no_grad()
    def computed(self, images: torch.Tensor) -> Maps:
        """The maps of uint8 images (n, height, width, 3), as `of` gives them, kept nowhere."""
        pixels = normalised_tensor(images.to(self.device), self.sized.spec).to(self.dtype)
        return tuple(_placed(_half(level), self.device) for level in self.pyramid.own_maps(pixels))

    def _found(self, missing: list[int]) -> Iterable[Maps]:
        read = {index: maps for index in missing if (maps := self._read(index)) is not None}
        rest = [index for index in missing if index not in read]
        return (read[index] for index in missing) if not rest else self._joined(missing, read, rest)

    def _joined(self, missing: list[int], read: dict[int, Maps], rest: list[int]) -> Iterator[Maps]:
        computed = dict(zip(rest, self._compute(rest), strict=True))
        return ((read | computed)[index] for index in missing)

    @torch.no_grad()
    def _compute(self, rest: list[int]) -> list[Maps]:
        start = time.perf_counter()
        images = torch.from_numpy(self.sized.images(np.array(rest))).to(self.device)
        levels = self.pyramid.own_maps(normalised_tensor(images, self.sized.spec).to(self.dtype))
        # Copies of their own: a slice would hold the whole batch in memory.
        found = [
            tuple(m.clone() for m in maps) for maps in zip(*(_half(one).cpu() for one in levels), strict=True)
        ]
        if self.disk:
            facts = {"seconds": f"{(time.perf_counter() - start) / len(rest):.6f}"}
            files = [self.sized.data_set.files[index] for index in rest]
            packed = {(self.key, file): _packed(maps) for file, maps in zip(files, found, strict=True)}
            self.disk.write_all(packed, facts)
        return found

    def _read(self, index: int) -> Maps | None:
        kept = self.disk.read(self.key, self.sized.data_set.files[index]) if self.disk else None
        if kept is None:
            return None
        self.saved_s += float(kept[1].get("seconds", 0))
        return _unpacked(kept[0])


def _half(maps: torch.Tensor) -> torch.Tensor:
    return maps.float().clamp(-LARGEST, LARGEST).half()


def _placed(maps: torch.Tensor, device: torch.device) -> torch.Tensor:
    return maps.to(device).float().contiguous(memory_format=torch.channels_last)


def _packed(maps: Maps) -> np.ndarray:
    """One flat float16 array: the number of levels and their shapes, as integers in its bits, then the values."""
    shapes = np.array([len(maps), *(side for one in maps for side in one.shape)], np.uint16).view(np.float16)
    return np.concatenate([shapes, *(one.contiguous().numpy().ravel() for one in maps)])


def _unpacked(values: np.ndarray) -> Maps:
    n = int(values[:1].view(np.uint16)[0])
    shapes = values[1 : 1 + 3 * n].view(np.uint16).astype(int).reshape(n, 3)
    ends = np.cumsum([1 + 3 * n, *shapes.prod(axis=1)])
    return tuple(
        torch.from_numpy(values[start:end].reshape(shape))
        for start, end, shape in zip(ends[:-1], ends[1:], shapes, strict=True)
    )
