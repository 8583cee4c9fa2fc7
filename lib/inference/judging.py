"""A kept model of masks on images whose masks are known: what it answers at the images' own size, and how good that is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from lib.datasets import DataSet
from lib.errors import CvAutomlError
from lib.inference.masks import Masks, PostProcessing, window_map
from lib.inference.models import KeptModel
from lib.zoo.base import Image
from lib.zoo.preprocessing import resized
from lib.zoo.segmentation.metrics import PixelCounts


@dataclass(frozen=True)
class MaskJudge:
    """A model and the data set it was trained on, divided as it was then. Raises CvAutomlError where they do not belong together."""

    model: KeptModel
    data_set: DataSet

    @classmethod
    def of(cls, model: KeptModel, data_set: DataSet) -> MaskJudge:
        """The judge on the test part of the fold that the model was kept from."""
        card = model.card
        if not card.answers_masks:
            raise CvAutomlError(f"run {card.key} ({card}) answers with classes: there are no masks to show")
        if data_set.read_mask is None or data_set.classes != card.classes:
            raise CvAutomlError(
                f"data set '{data_set.name}' does not have the masks that run {card.key} was trained on: expected "
                f"classes {', '.join(card.classes)}; pass --dataset {card.data_set.name}"
            )
        return cls(model, data_set.fold(card.data_set.split, card.fold))

    def answered(self, index: int) -> tuple[Image, Masks, Masks]:
        """An image (h, w, 3), its true masks and the answer (n_classes, h, w)."""
        assert self.data_set.read_mask is not None
        image, card = self.data_set.read_image(index), self.model.card
        if card.works_on_windows:
            probabilities = window_map(card, image, self.model.probabilities)
        else:
            probabilities = self.model.probabilities(np.array(resized(image, card.input))[None])[0]
        answer, _ = PostProcessing.of(card).masks(probabilities, *image.shape[:2])
        return image, np.asarray(self.data_set.read_mask(index)), answer


def dice_of(truth: Masks, answer: Masks) -> float:
    """The mean over the classes, 1 where both are empty: as Kaggle counts it, of one image."""
    masks = (torch.from_numpy(np.ascontiguousarray(one))[None] for one in (answer, truth))
    return float(PixelCounts.of(*masks).dice.mean())
