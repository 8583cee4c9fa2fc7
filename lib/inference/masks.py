"""From a network's probabilities to masks of the original image: thresholds and smallest areas as in training, and defects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from lib.datasets.annotations import components
from lib.inference.models import ModelCard
from lib.zoo.base import Image

Floats = npt.NDArray[np.float32]
Masks = npt.NDArray[np.bool_]
DEFAULT_THRESHOLD = 0.5
BATCH = 8

Answer = Callable[[Image], Floats]
"""uint8 images (n, height_px, width_px, 3) → probabilities."""


@dataclass(frozen=True)
class PostProcessing:
    """For each class (n_classes,): the probability from which a pixel counts, and the share of the image below which the mask
    is emptied. Both were chosen on validation, at the size the network sees."""

    thresholds: tuple[float, ...]
    smallest_areas: tuple[float, ...]
    full_size: bool = (
        False  # probabilities are of the image's own size already, padded below and to the right
    )

    @classmethod
    def of(cls, card: ModelCard) -> PostProcessing:
        """That of a kept model; where nothing was chosen, the recipe's threshold and no smallest area."""
        usual = card.recipe.options.get("threshold", DEFAULT_THRESHOLD)
        values = [
            [float(card.chosen.get(f"{name}:{label}", default)) for label in card.classes]
            for name, default in (("threshold", usual), ("smallest_area", 0.0))
        ]
        return cls(tuple(values[0]), tuple(values[1]), card.works_on_windows)

    def kept(self, probabilities: Floats) -> npt.NDArray[np.bool_]:
        """Classes (n_classes,) whose mask is not empty: `probabilities` (n_classes, h, w) of the size the network sees."""
        shares = (probabilities >= self._thresholds).mean(axis=(1, 2))
        return (shares > 0) & (shares >= np.array(self.smallest_areas))

    def masks(self, probabilities: Floats, height: int, width: int) -> tuple[Masks, Floats]:
        """Masks bool (n_classes, height, width) and the probabilities of that size, 0 for empty classes."""
        enlarged = np.zeros((len(probabilities), height, width), dtype=np.float32)
        for k in np.flatnonzero(self.kept(probabilities)):
            own = probabilities[k]
            enlarged[k] = own[:height, :width] if self.full_size else resized_map(own, height, width)
        return (enlarged >= self._thresholds) & (enlarged > 0), enlarged

    @property
    def _thresholds(self) -> Floats:
        return np.array(self.thresholds, dtype=np.float32)[:, None, None]


def window_map(card: ModelCard, image: Image, answer: Answer) -> Floats:
    """Probabilities (n_classes, height, width) of an image, or of one window where it is smaller, put together from windows."""
    import torch

    from lib.zoo.segmentation.crops import padded, stitched

    window = (card.input.height_px, card.input.width_px)
    whole = padded(image, *window).astype(np.uint8, copy=False)
    answered = stitched(whole, window, len(card.classes), lambda seen: torch.from_numpy(answer(seen)), BATCH)
    return answered.numpy()


def resized_map(values: Floats, height: int, width: int) -> Floats:
    """float32 (h, w) → (height, width), bilinear between the centres of pixels, antialiased where it shrinks."""
    return np.asarray(PillowImage.fromarray(values).resize((width, height), PillowImage.Resampling.BILINEAR))


@dataclass(frozen=True)
class Defect:
    """A connected piece of one class's mask: `area_px` pixels in the box [x0, x1) × [y0, y1); `confidence`: the mean probability
    of the class over its pixels."""

    class_name: str
    area_px: int
    x0: int
    y0: int
    x1: int
    y1: int
    confidence: float


def defects(masks: Masks, probabilities: Floats, classes: tuple[str, ...]) -> list[Defect]:
    """The pieces of all classes: masks bool and probabilities (n_classes, height, width)."""
    found = []
    for one in components(masks):
        inside = one.cut(probabilities[one.class_index])[one.cut(masks[one.class_index])]
        box = (one.x, one.y, one.x + one.width, one.y + one.height)
        found.append(
            Defect(classes[one.class_index], one.area, *box, confidence=round(float(inside.mean()), 4))
        )
    return found


def index_map(masks: Masks, probabilities: Floats) -> npt.NDArray[np.uint8]:
    """uint8 (height, width): 0 for background, k + 1 for class k; where classes overlap, the more probable one."""
    claimed = np.where(masks, probabilities, -1.0)
    return np.where(masks.any(axis=0), claimed.argmax(axis=0) + 1, 0).astype(np.uint8)
