"""The model that is handed over as one network: members, temperatures, and how far an image is from the training images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lib.fit.refit import Member, pooled
from lib.zoo.pair_networks import DensePair
from lib.zoo.segmentation.mask_network import MaskNetwork

NEIGHBOUR = 3
LIMIT_QUANTILE = 0.99
SMALLEST = 1e-7

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Nearness:
    """Distance of an image from the training images: 1 − cosine to the third nearest of them, features centred (Sun et al. 2022,
    arXiv:2204.06507). `references` (n, width) of length 1; `own` (n,): their distances from each other; `limit`: what 99 % of
    these stay below."""

    mean: Floats
    references: Floats
    own: npt.NDArray[np.float64]
    limit: float

    @classmethod
    def of(cls, features: Floats) -> Nearness:
        """From features (n, width) of training images."""
        mean = features.mean(axis=0)
        references = directions(features - mean)
        own = self_distances(references)
        return cls(mean, references, own, float(np.quantile(own, LIMIT_QUANTILE)))

    @property
    def neighbour(self) -> int:
        """Which nearest one counts."""
        return min(NEIGHBOUR, max(len(self.references) - 1, 1))


def directions(features: Floats) -> Floats:
    """Rows of length 1."""
    return (features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)).astype(np.float32)


def self_distances(references: Floats) -> npt.NDArray[np.float64]:
    """Distance (n,) of each row from the others."""
    likeness = (references @ references.T).astype(np.float64)
    np.fill_diagonal(likeness, -np.inf)
    place = min(NEIGHBOUR, max(len(references) - 1, 1))
    return 1 - np.sort(likeness, axis=1)[:, -place]


class HandedOver(nn.Module):
    """Normalised images, (n, 3, h, w) for each member → probabilities (n, n_classes) or (n, n_classes, h, w), and distances
    (n,). `temperatures`: of each member, and the last one of their mean; masks have one member and none."""

    centre: Tensor
    references: Tensor

    def __init__(
        self, members: Sequence[nn.Module], temperatures: Sequence[float], nearness: Nearness
    ) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.temperatures = tuple(temperatures)
        self.neighbour = nearness.neighbour
        self.register_buffer("centre", torch.from_numpy(nearness.mean))
        self.register_buffer("references", torch.from_numpy(nearness.references))

    @classmethod
    def of(cls, members: Sequence[Member], temperatures: Sequence[float], nearness: Nearness) -> HandedOver:
        """Out of trained members."""
        return cls([one.network for one in members], temperatures, nearness).eval().requires_grad_(False)

    def forward(self, *images: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities and distances."""
        first = self.members[0]
        if isinstance(first, MaskNetwork):
            maps = first.pyramid.own_maps(images[0])
            return first.answer(maps), self.distances(maps[-1].mean(dim=(2, 3)))
        features = [pooled(one, seen) for one, seen in zip(self.members, images, strict=True)]
        answers = [
            _tempered(_answer(one, own), temperature)
            for one, own, temperature in zip(self.members, features, self.temperatures, strict=False)
        ]
        mean = torch.stack(answers).mean(dim=0) if len(answers) > 1 else answers[0]
        return _tempered(mean, self.temperatures[-1]), self.distances(features[0])

    def distances(self, features: Tensor) -> Tensor:
        """Of features (n, width) of the first member."""
        centred = features - self.centre
        rows = centred / centred.norm(dim=1, keepdim=True).clamp_min(1e-12)
        nearest = (rows @ self.references.T).topk(self.neighbour, dim=1).values
        return 1 - nearest[:, -1]


def _answer(pair: nn.Module, features: Tensor) -> Tensor:
    assert isinstance(pair, DensePair)
    standardised = (features - pair.get_buffer("mean")) / pair.get_buffer("spread")
    return pair.head(standardised).softmax(dim=1)


def _tempered(probabilities: Tensor, temperature: float) -> Tensor:
    if temperature == 1.0:
        return probabilities
    return (probabilities.clamp_min(SMALLEST).log() / temperature).softmax(dim=1)
