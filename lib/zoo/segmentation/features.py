"""Pyramids of a frozen network: constant over the epochs, so they are computed once and kept while memory allows."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import torch

from lib.zoo.devices import dtype_of, physical_memory_bytes
from lib.zoo.preprocessing import normalised_tensor
from lib.zoo.segmentation.masks import Indices, SizedImages
from lib.zoo.segmentation.pyramid import Pyramid

KEPT_BYTES = 4_000_000_000
KEPT_SHARE = 0.25

Maps = tuple[torch.Tensor, torch.Tensor]


@dataclass
class FrozenPyramids:
    """The feature maps of images by their position, in the precision they were computed in.

    Kept in main memory up to 4 GB or a quarter of it, whichever is less; beyond that they are computed each time.
    """

    pyramid: Pyramid
    sized: SizedImages
    device: torch.device
    precision: str
    _kept: dict[int, Maps] = field(default_factory=dict)
    _kept_bytes: int = 0
    _limit_bytes: int = 0

    def __post_init__(self) -> None:
        self._limit_bytes = min(KEPT_BYTES, int(KEPT_SHARE * physical_memory_bytes()))
        self.pyramid = copy.deepcopy(self.pyramid).eval().requires_grad_(False).to(dtype_of(self.precision))

    def forget(self) -> None:
        """Gives the memory back; the network stays."""
        self._kept.clear()
        self._kept_bytes = 0

    def of(self, indices: Indices) -> Maps:
        """Fine and coarse maps (n, c, h, w) on the device, channels last, in the precision they were computed in."""
        missing = [int(index) for index in dict.fromkeys(indices.tolist()) if int(index) not in self._kept]
        computed = self._compute(missing)
        maps = [computed.get(int(i)) or self._kept[int(i)] for i in indices]
        fine, coarse = (torch.stack([m[level] for m in maps]).to(self.device) for level in (0, 1))
        return (
            fine.contiguous(memory_format=torch.channels_last),
            coarse.contiguous(memory_format=torch.channels_last),
        )

    @torch.no_grad()
    def _compute(self, missing: list[int]) -> dict[int, Maps]:
        if not missing:
            return {}
        images = torch.from_numpy(self.sized.images(torch.tensor(missing).numpy())).to(self.device)
        spec = self.sized.spec
        fine, coarse = self.pyramid(normalised_tensor(images, spec).to(dtype_of(self.precision)))
        computed = {i: (f, c) for i, f, c in zip(missing, fine.cpu(), coarse.cpu(), strict=True)}
        for index, maps in computed.items():
            self._keep(index, maps)
        return computed

    def _keep(self, index: int, maps: Maps) -> None:
        size = sum(m.numel() * m.element_size() for m in maps)
        if self._kept_bytes + size <= self._limit_bytes:
            # A copy of its own: a slice would hold the whole batch in memory.
            self._kept[index] = (maps[0].clone(), maps[1].clone())
            self._kept_bytes += size
