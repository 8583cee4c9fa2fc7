"""Backbones: what turns an image into one feature vector. Networks from timm by timm's own names, and `handcrafted`."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lib.config import Settings
from lib.records import BackboneInfo
from lib.zoo.catalogue import HANDCRAFTED, curated_names, require_known

if TYPE_CHECKING:
    import torch

Image = npt.NDArray[np.uint8]
ImageSource = Image | Callable[[], Image]
OnProgress = Callable[[int], None]


@dataclass(frozen=True)
class InputSpec:
    """What an image must look like for a backbone.

    The whole image is resized to height x width, aspect ratio given up: a centre crop would throw most of a long strip
    away. `crop_pct` is what the network was trained for, kept for the record and not applied.
    """

    height_px: int
    width_px: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str
    crop_pct: float

    def digest(self) -> str:
        """Hash of everything that changes the resized and normalised image."""
        deciding = f"{self.height_px}x{self.width_px} {self.mean} {self.std} {self.interpolation} whole"
        return hashlib.sha256(deciding.encode()).hexdigest()[:8]


@dataclass(frozen=True)
class Extraction:
    """Features of some images: float32 array (n, width), and what had to be done to get them (e.g. smaller batches)."""

    values: npt.NDArray[np.float32]
    notes: tuple[str, ...] = ()


class Backbone(ABC):
    """A feature extractor. `cache_key` is the same only where the features are the same: weights, transform, precision."""

    info: BackboneInfo
    input: InputSpec
    cache_key: str
    precision: str = "fp32"

    @abstractmethod
    def extract(self, images: Iterable[ImageSource], on_progress: OnProgress | None = None) -> Extraction:
        """Features of images: uint8 arrays (height, width, 3), or functions that read one, called in background threads.

        `on_progress` is given the number of images done so far.
        """

    def embed(
        self, images: Iterable[ImageSource], progress: OnProgress | None = None
    ) -> npt.NDArray[np.float32]:
        """Like `extract`, the features alone: float32 array (n, embedding_width)."""
        return self.extract(images, progress).values

    def preprocess(self, image: Image) -> torch.Tensor:
        """Image (height, width, 3) → float32 tensor (3, height_px, width_px), resized whole and normalised."""
        from lib.zoo.preprocessing import normalised, resized

        return normalised(resized(image, self.input), self.input)

    @property
    def module(self) -> torch.nn.Module | None:
        """The loaded network, frozen and shared: images (n, 3, h, w) → features (n, width). None for no network."""
        return None

    def feature_module(self, **model_kwargs: object) -> torch.nn.Module:
        """A fresh copy of the network with its weights, in evaluation mode, free to be trained or changed.

        `model_kwargs` go to timm (e.g. `output_stride=16`). Raises CvAutomlError where there is no network.
        """
        from lib.errors import IncompatiblePairError

        raise IncompatiblePairError(f"'{self.info.name}' is no network: there is nothing to fine-tune")


def backbone_names() -> list[str]:
    """What `all` means: the curated networks and `handcrafted`. Any other name of timm works as well."""
    return [*curated_names(), HANDCRAFTED]


def open_backbone(name: str, settings: Settings) -> Backbone:
    """The backbone called `name`. Its weights are found (fetched where necessary) now, and loaded when first used.

    Raises CvAutomlError for an unknown name (with the nearest ones) and WeightsError where there are no weights.
    """
    if name == HANDCRAFTED:
        from lib.zoo.handcrafted import HandcraftedBackbone

        return HandcraftedBackbone()
    from lib.zoo.network import NetworkBackbone
    from lib.zoo.weights import find_weights

    require_known(name)
    return NetworkBackbone(name, find_weights(name, settings), settings)


def describe_backbone(name: str, settings: Settings) -> BackboneInfo:
    """A backbone's facts without loading or downloading weights. Raises as `open_backbone` does."""
    if name == HANDCRAFTED:
        from lib.zoo.handcrafted import INFO

        return INFO
    from lib.zoo.network import network_info
    from lib.zoo.weights import find_weights

    require_known(name)
    return network_info(name, find_weights(name, settings, download=False))
