"""The backbone contract: what turns an image into one feature vector, and how it is registered."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lib.config import Settings
from lib.errors import IncompatiblePairError
from lib.records import BackboneInfo
from lib.registry import Registry

if TYPE_CHECKING:
    import torch

Image = npt.NDArray[np.uint8]
ImageSource = Image | Callable[[], Image]
Enlarge = Callable[[Image, int, int], Image]
OnProgress = Callable[[int], None]


@dataclass(frozen=True)
class InputSpec:
    """What an image must look like for a backbone.

    The whole image is resized to height x width, aspect ratio given up: a centre crop would throw most of a long strip
    away. `crop_pct` is what the network was trained for, kept for the record and not applied. `enlarge`: image, height, width →
    the image of that size, for images smaller than the input where the interpolation is a network's.
    """

    height_px: int
    width_px: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str
    crop_pct: float
    enlarge: Enlarge | None = field(default=None, compare=False, repr=False)

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
    """A feature extractor.

    `cache_key` is the same only where the features are the same: weights, transform, precision. `shape` is the same where the
    same is computed with other numbers: such backbones take the same time.
    """

    info: BackboneInfo
    input: InputSpec
    cache_key: str
    shape: str
    precision: str = "fp32"
    device_name: str = "cpu"
    threads: int = 1  # of the processor that extracting keeps busy; 0 on an accelerator

    @abstractmethod
    def extract(self, images: Iterable[ImageSource], on_progress: OnProgress | None = None) -> Extraction:
        """Features of images: uint8 arrays (height, width, 3), or functions that read one, called in background threads.

        `on_progress` is given the number of images done so far.
        """

    def forward_batch(self, batch: Image) -> npt.NDArray[np.float32]:
        """uint8 images (n, height_px, width_px, 3), already resized → float32 features (n, embedding_width)."""
        return self.extract(list(batch)).values

    def feature_module(self, **model_kwargs: object) -> torch.nn.Module:
        """A fresh copy of the network with its weights, in evaluation mode, free to be trained or changed.

        `model_kwargs` go to timm (e.g. `output_stride=16`). Raises IncompatiblePairError where there is no network.
        """
        raise IncompatiblePairError(f"'{self.info.name}' is no network: there is nothing to fine-tune")


@dataclass(frozen=True)
class BackboneSource:
    """Where a registered backbone comes from: functions of its name.

    `open` finds the weights now and loads them when first used; `describe` neither loads nor downloads any.
    """

    open: Callable[[str, Settings], Backbone]
    describe: Callable[[str, Settings], BackboneInfo]


BACKBONES: Registry[BackboneSource] = Registry("backbone")
