"""Augmentation by the config's recipes of torchvision.transforms.v2: image and mask together, mixtures of images, views for testing."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torchvision import tv_tensors
from torchvision.transforms import v2

from lib.config import Settings
from lib.errors import ConfigError
from lib.registry import unknown_name
from lib.zoo.devices import one_thread

Steps = Sequence[dict[str, dict[str, Any]]]
View = tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]
"""What is done to images (n, 3, h, w) before the network sees them, and what undoes it on masks (n, k, h, w)."""

MIXING = ("MixUp", "CutMix")
IMAGE_ONLY = (*MIXING, "TrivialAugmentWide", "AutoAugment", "RandAugment", "AugMix")
CROP = 0.875


@dataclass(frozen=True)
class Augmentation:
    """What training does to a batch of images of one size; random through torch's global generator."""

    each: tuple[v2.Transform, ...]
    mixing: tuple[v2.Transform, ...] = ()

    @classmethod
    def of(cls, steps: str, height_px: int, width_px: int, n_classes: int = 2) -> Augmentation:
        """Of the canonical text that a recipe holds, see `steps_of`."""
        made = [
            (name, _transform(name, options, height_px, width_px, n_classes))
            for step in json.loads(steps)
            for name, options in step.items()
        ]
        each = tuple(one for name, one in made if name not in MIXING)
        return cls(each, tuple(one for name, one in made if name in MIXING))

    def __call__(self, images: Tensor, masks: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """uint8 (n, 3, h, w) and bool (n, k, h, w) → the same shapes, each image with its mask in its own way."""
        # Single images are too small to share: two threads that wait for each other took twenty times as long.
        with one_thread():
            if masks is None:
                return torch.stack([self._image(image) for image in images]), None
            both = [self._both(image, mask) for image, mask in zip(images, masks, strict=True)]
            return torch.stack([image for image, _ in both]), torch.stack([mask for _, mask in both])

    def mixed(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Images (n, 3, h, w) and labels (n,) → mixed float images and shares (n, n_classes); as they are without a mixture."""
        for mixture in self.mixing:
            images, labels = mixture(images.float(), labels)
        return images, labels

    def _image(self, image: Tensor) -> Tensor:
        shown = tv_tensors.Image(image)
        for transform in self.each:
            shown = transform(shown)
        return shown.as_subclass(Tensor)

    def _both(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        shown, covered = tv_tensors.Image(image), tv_tensors.Mask(mask)
        for transform in self.each:
            # What is cut out of an image is still there: its mask stays.
            if isinstance(transform, v2.RandomErasing):
                shown = transform(shown)
            else:
                shown, covered = transform(shown, covered)
        return shown.as_subclass(Tensor), covered.as_subclass(Tensor)


def steps_of(name: str, settings: Settings, with_masks: bool = False) -> str:
    """The named recipe as one line of JSON, which a record holds: the name alone could come to mean something else.

    Raises ConfigError for an unknown recipe or transform, one with wrong options, or one that does not know masks.
    """
    if name not in settings.augmentations:
        raise ConfigError(unknown_name("augmentation", name, sorted(settings.augmentations)))
    steps = settings.augmentations[name]
    for step in steps:
        for transform, options in step.items():
            if with_masks and transform in IMAGE_ONLY:
                raise ConfigError(
                    f"augmentation '{name}': {transform} does not know masks; take flips, light or heavy"
                )
            _transform(transform, options, 32, 32, 2)
    return json.dumps(steps, sort_keys=True)


def _transform(
    name: str, options: dict[str, Any], height_px: int, width_px: int, n_classes: int
) -> v2.Transform:
    """One transform of torchvision; `p` of one that always happens is the share of images it happens to."""
    kind = getattr(v2, name, None)
    if not (inspect.isclass(kind) and issubclass(kind, v2.Transform)):
        raise ConfigError(f"augmentation: torchvision.transforms.v2 has no {name}")
    known = inspect.signature(kind).parameters
    given = dict(options)
    share = None if "p" in known else given.pop("p", None)
    if "num_classes" in known:
        given.setdefault("num_classes", n_classes)
    if "size" in known and known["size"].default is inspect.Parameter.empty:
        given.setdefault("size", (height_px, width_px))
    if name == "RandomResizedCrop":
        # torchvision's shapes are those of square images: a strip would be cut to a square and stretched.
        given.setdefault("ratio", tuple(shape * width_px / height_px for shape in (3 / 4, 4 / 3)))
    try:
        made = _uint8(name, kind(**given))
        return made if share is None else v2.RandomApply([made], p=float(share))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"augmentation: {name}({options}): {error}") from error


def _uint8(name: str, transform: v2.Transform) -> v2.Transform:
    """Noise is made on floats: there and back."""
    if name != "GaussianNoise":
        return transform
    return v2.Compose(
        [
            v2.ToDtype({tv_tensors.Image: torch.float32, "others": None}, scale=True),
            transform,
            v2.ToDtype({tv_tensors.Image: torch.uint8, "others": None}, scale=True),
        ]
    )


@cache
def views_of(name: str) -> tuple[View, ...]:
    """The views whose answers are averaged: `none`; `flips`: the image, its mirror images and both; `crops`: the image, its four
    corners and its middle, each enlarged (no view of masks)."""
    if name == "flips":
        return tuple((_flip(dims), _flip(dims)) for dims in ((), (-1,), (-2,), (-1, -2)))
    whole: View = (lambda images: images, lambda masks: masks)
    if name == "crops":
        corners = ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0), (0.5, 0.5))
        return (whole, *((_crop(*corner), _no_masks) for corner in corners))
    return (whole,)


def _flip(dims: tuple[int, ...]) -> Callable[[Tensor], Tensor]:
    return lambda values: values.flip(dims) if dims else values


def _crop(down: float, right: float) -> Callable[[Tensor], Tensor]:
    def crop(images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        tall, wide = int(CROP * height), int(CROP * width)
        top, left = int(down * (height - tall)), int(right * (width - wide))
        cut = images[..., top : top + tall, left : left + wide].float()
        enlarged = functional.interpolate(cut, (height, width), mode="bilinear")
        return enlarged if images.is_floating_point() else enlarged.round().to(images.dtype)

    return crop


def _no_masks(masks: Tensor) -> Tensor:
    raise ConfigError("tta crops: masks cannot be put together from crops; take flips")
