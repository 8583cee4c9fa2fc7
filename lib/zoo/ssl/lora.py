"""LoRA: of a frozen layer only a difference of low rank is trained, and added to the weights at the end (Hu et al. 2021, arXiv:2106.09685)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

SCALE = 2.0


class LowRank(nn.Module):
    """weight (out, …) → weight + 2 · B A, with A (rank, in) random and B (out, rank) zero at first: the layer starts unchanged."""

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        out, inputs = weight.shape[0], weight[0].numel()
        rank = min(rank, out, inputs)
        self.down = nn.Parameter(torch.randn(rank, inputs) / inputs**0.5)
        self.up = nn.Parameter(torch.zeros(out, rank))

    def forward(self, weight: Tensor) -> Tensor:
        """The changed weight."""
        return weight + SCALE * (self.up @ self.down).view_as(weight)


def add_lora(network: nn.Module, rank: int) -> list[nn.Parameter]:
    """Freezes the network and gives every linear layer (and every convolution over all channels, where there is no linear one) a
    difference of low rank. Returns what is to be trained."""
    network.requires_grad_(False)
    layers: list[nn.Module] = [one for one in network.modules() if isinstance(one, nn.Linear)]
    if not layers:
        layers = [one for one in network.modules() if isinstance(one, nn.Conv2d) and one.groups == 1]
    added = []
    for layer in layers:
        weight = layer.weight
        assert isinstance(weight, Tensor)
        low_rank = LowRank(weight, rank)
        parametrize.register_parametrization(layer, "weight", low_rank)
        added += list(low_rank.parameters())
    return added


def merge_lora(network: nn.Module) -> None:
    """Adds the differences to the weights; the network has its old keys again."""
    for layer in list(network.modules()):
        if parametrize.is_parametrized(layer, "weight"):
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
