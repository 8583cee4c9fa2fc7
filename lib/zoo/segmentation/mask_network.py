"""The whole pair as one network: normalised images → probabilities a class and pixel, mirrored views averaged where asked."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from lib.records import Recipe
from lib.zoo.augmentation import views_of
from lib.zoo.base import Backbone
from lib.zoo.segmentation.decoders import DECODERS
from lib.zoo.segmentation.post_processing import PostProcessing
from lib.zoo.segmentation.pyramid import Maps, Pyramid, to_size


class MaskNetwork(nn.Module):
    """Normalised float32 images (n, 3, height, width) → probabilities (n, n_classes, height, width), without the background.

    `multiclass`: one class or the background a pixel (softmax); else every class by itself (sigmoid). `tta`: the views whose
    answers are averaged. `switches`: where it is given, a module that turns the network's own maps and the probabilities into
    probabilities, 0 where a mask is switched off. The post-processing that was chosen is kept beside the weights.
    """

    thresholds: torch.Tensor
    areas: torch.Tensor

    def __init__(
        self,
        pyramid: Pyramid,
        decoder: nn.Module,
        size: tuple[int, int],
        n_classes: int,
        multiclass: bool = False,
        tta: str = "none",
    ) -> None:
        super().__init__()
        self.pyramid, self.decoder, self.size, self.multiclass = pyramid, decoder, size, multiclass
        self.views = views_of(tta)
        self.switches: nn.Module | None = None
        plain = PostProcessing.plain(n_classes)
        self.register_buffer("thresholds", plain.thresholds)
        self.register_buffer("areas", plain.areas)

    @classmethod
    def of(cls, name: str, backbone: Backbone, recipe: Recipe, n_classes: int) -> MaskNetwork:
        """Untrained, with the decoder called `name`, as the recipe wants it."""
        size = (recipe.image_height_px, recipe.image_width_px)
        build, multiclass = DECODERS[name], recipe.options.get("masks") == "multiclass"
        pyramid = Pyramid(backbone, *size, strides=build.strides)
        decoder = build(pyramid.channels, n_classes + multiclass)
        return cls(pyramid, decoder, size, n_classes, multiclass, str(recipe.options.get("tta", "none")))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Probabilities, the mean over the views."""
        return self.mean_of_views(images, lambda seen: self.answer(self.pyramid.own_maps(seen)))

    def mean_of_views(
        self, images: torch.Tensor, answer: Callable[[torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        """The mean of what `answer` says to images (n, 3, h, w) in every view, each turned back."""
        answers = [back(answer(see(images))) for see, back in self.views]
        return torch.stack(answers).mean(dim=0) if len(answers) > 1 else answers[0]

    def answer(self, own_maps: Maps) -> torch.Tensor:
        """The network's own maps → probabilities, switched off where the switches say so."""
        logits = self.logits(own_maps)
        probabilities = logits.softmax(dim=1)[:, 1:] if self.multiclass else logits.sigmoid()
        return probabilities if self.switches is None else self.switches(own_maps, probabilities)

    def logits(self, own_maps: Maps) -> torch.Tensor:
        """float32 logits (n, n_classes, height, width); of multiclass masks the background first."""
        return to_size(self.decoder(self.pyramid.placed(own_maps)).float(), self.size)

    @property
    def post(self) -> PostProcessing:
        """How its probabilities become masks."""
        return PostProcessing(self.thresholds.cpu(), self.areas.cpu())

    @post.setter
    def post(self, chosen: PostProcessing) -> None:
        self.thresholds.copy_(chosen.thresholds)
        self.areas.copy_(chosen.areas)
