"""The whole pair as one network: normalised images → probabilities a class and pixel, mirrored views averaged where asked."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from lib.records import Recipe
from lib.zoo.base import Backbone
from lib.zoo.segmentation.decoders import DECODERS
from lib.zoo.segmentation.pyramid import Maps, Pyramid, to_size

Flip = tuple[int, ...]
FLIPS: tuple[Flip, ...] = ((), (-1,), (-2,), (-2, -1))
"""What test-time flips average: the image, mirrored left to right, upside down, and both."""


class MaskNetwork(nn.Module):
    """Normalised float32 images (n, 3, height, width) → probabilities (n, n_classes, height, width), without the background.

    `multiclass`: one class or the background a pixel (softmax); else every class by itself (sigmoid). `switches`: where it is
    given, a module that turns the network's own maps into (n, n_classes), 0 where a mask is switched off.
    """

    def __init__(
        self, pyramid: Pyramid, decoder: nn.Module, size: tuple[int, int], multiclass: bool, flips: bool
    ) -> None:
        super().__init__()
        self.pyramid, self.decoder, self.size, self.multiclass = pyramid, decoder, size, multiclass
        self.flips = FLIPS if flips else FLIPS[:1]
        self.switches: nn.Module | None = None

    @classmethod
    def of(cls, name: str, backbone: Backbone, recipe: Recipe, n_classes: int) -> MaskNetwork:
        """Untrained, with the decoder called `name`, as the recipe wants it."""
        size = (recipe.image_height_px, recipe.image_width_px)
        build, multiclass = DECODERS[name], is_multiclass(recipe)
        pyramid = Pyramid(backbone, *size, strides=build.strides)
        decoder = build(pyramid.channels, n_classes + multiclass)
        return cls(pyramid, decoder, size, multiclass, recipe.options.get("tta") == "flips")

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Probabilities, the mean over the flips."""
        return averaged(lambda flip: self.answer(self.pyramid.own_maps(images.flip(flip))), self.flips)

    def answer(self, own_maps: Maps) -> torch.Tensor:
        """The network's own maps → probabilities, switched off where the switches say so."""
        probabilities = self.probabilities(self.logits(own_maps))
        return probabilities if self.switches is None else self.switches(own_maps, probabilities)

    def logits(self, own_maps: Maps) -> torch.Tensor:
        """float32 logits (n, n_classes, height, width); of multiclass masks the background first."""
        return to_size(self.decoder(self.pyramid.placed(own_maps)).float(), self.size)

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """Probabilities (n, n_classes, height, width)."""
        return logits.softmax(dim=1)[:, 1:] if self.multiclass else logits.sigmoid()


def averaged(answer: object, flips: Sequence[Flip]) -> torch.Tensor:
    """The mean of `answer(flip)` over the flips, each turned back."""
    answers = [answer(flip).flip(flip) for flip in flips]  # type: ignore[operator]
    return torch.stack(answers).mean(dim=0) if len(answers) > 1 else answers[0]


def is_multiclass(recipe: Recipe) -> bool:
    """Whether a pixel has one class at most."""
    return recipe.options.get("masks") == "multiclass"
