"""A trained classification pair as one network: the backbone, the standardisation of its features, the dense head, softmax."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from lib.zoo.augmentation import views_of
from lib.zoo.dense import dense_network
from lib.zoo.jobs import Standardisation


class DensePair(nn.Module):
    """Normalised images (n, 3, h, w) → probabilities (n, n_classes), the mean over the views of `tta`. `scale` standardises the
    backbone's features."""

    def __init__(
        self, backbone: nn.Module, head: nn.Module, scale: Standardisation, tta: str = "none"
    ) -> None:
        super().__init__()
        self.views = [see for see, _ in views_of(tta)]
        self.backbone, self.head = backbone, head
        device = next(head.parameters()).device
        self.register_buffer("mean", torch.from_numpy(scale.mean).to(device))
        self.register_buffer("spread", torch.from_numpy(scale.spread).to(device))

    def forward(self, images: Tensor) -> Tensor:
        """The probabilities."""
        answers = [self._answer(see(images)) for see in self.views]
        return torch.stack(answers).mean(dim=0) if len(answers) > 1 else answers[0]

    def _answer(self, images: Tensor) -> Tensor:
        features = (self.backbone(images) - self.mean) / self.spread
        return self.head(features).softmax(dim=1)


def untrained_pair(backbone: nn.Module, widths: Sequence[int], tta: str = "none") -> DensePair:
    """A pair whose head has the layers of `widths` (embedding, hidden …, classes): a kept state is loaded into it."""
    layers = [(torch.zeros(n_in, n_out), torch.zeros(n_out)) for n_in, n_out in pairwise(widths)]
    nothing = torch.zeros(widths[0]).numpy()
    return DensePair(backbone, dense_network(layers), Standardisation(nothing, nothing + 1), tta)
