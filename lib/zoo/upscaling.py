"""How an image smaller than a backbone's input is enlarged: by a fixed rule, or by a small network trained on the set's own images."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from lib.config import Settings
from lib.datasets.base import DataSet
from lib.datasets.splits import seeded_order
from lib.errors import CvAutomlError
from lib.files import short_hash, write_atomically
from lib.registry import unknown_name
from lib.zoo.backbones import open_backbone
from lib.zoo.base import Backbone, Image
from lib.zoo.preprocessing import KNOWN_INTERPOLATIONS

if TYPE_CHECKING:
    import torch

LEARNED = "learned"
NAMES = ("bilinear", "bicubic", "lanczos", LEARNED)
FACTOR = 2
PATCH_PX = 48
BATCH_SIZE = 16
STEPS = 400
LEARNING_RATE = 1e-3
MOST_IMAGES = 200
MOST_JUDGED = 40
_VERSION = 1

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Upscaler:
    """Enlarges uint8 images (h, w, 3) to (height, width, 3).

    `key`: the same only where the result is the same: part of the features' cache key. `psnr`, `psnr_bicubic`: decibels on
    validation images that were halved and restored, higher better; None of a fixed rule, or without a validation part.
    """

    name: str
    key: str
    enlarge: Callable[[Image, int, int], Image]
    psnr: float | None = None
    psnr_bicubic: float | None = None

    def __call__(self, image: Image, height: int, width: int) -> Image:
        """The image at that size."""
        return self.enlarge(image, height, width)


def opened_for(data_set: DataSet, name: str, settings: Settings) -> Backbone:
    """The backbone called `name`, with the network that enlarges this set's images where the settings ask for one, trained on the
    train part of its first fold. Raises as `open_backbone` and `upscaler` do."""
    backbone = open_backbone(name, settings)
    if settings.upscale == LEARNED:
        learned = upscaler(LEARNED, data_set.fold("folds", 0), settings)
        backbone.input = replace(backbone.input, enlarge=learned)
    return backbone


def upscaler(name: str, data_set: DataSet, settings: Settings) -> Upscaler:
    """The upscaler called `name`. `learned` is trained on the train part of `data_set` as its parts are now (give it one fold), or
    read from cache_dir where that was done before. Raises CvAutomlError for an unknown name, or no image to learn from."""
    if name not in NAMES:
        raise CvAutomlError(unknown_name("upscaling", name, list(NAMES)))
    if name != LEARNED:
        return Upscaler(name, name, lambda image, height, width: fixed(image, height, width, name))
    return _learned(data_set, settings)


def fixed(image: Image, height: int, width: int, name: str = "bicubic") -> Image:
    """Resized by Pillow's rule of that name, antialiased where it shrinks."""
    return np.asarray(PillowImage.fromarray(image).resize((width, height), KNOWN_INTERPOLATIONS[name]))


def psnr(restored: Image, truth: Image) -> float:
    """Peak signal-to-noise ratio in decibels of uint8 images: 10 log10(255² / mean squared error); infinite where equal."""
    error = float(np.mean((restored.astype(np.float64) - truth) ** 2))
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def build_network() -> torch.nn.Module:
    """Sub-pixel network (Shi et al. 2016, arXiv:1609.05158): a grey image (n, 1, h, w) in [0, 1] → what is to be added to its
    bicubic enlargement (n, 1, 2h, 2w). Begins with nothing to add."""
    from torch import nn

    last = nn.Conv2d(32, FACTOR**2, 3, padding=1)
    nn.init.zeros_(last.weight)
    assert last.bias is not None
    nn.init.zeros_(last.bias)
    return nn.Sequential(
        nn.Conv2d(1, 64, 5, padding=2),
        nn.ReLU(),
        nn.Conv2d(64, 32, 3, padding=1),
        nn.ReLU(),
        last,
        nn.PixelShuffle(FACTOR),
    )


def doubled(network: torch.nn.Module, image: Image) -> Image:
    """uint8 (h, w, 3) → (2h, 2w, 3); each channel goes through the network alone, a grey image only once."""
    import torch

    height, width = image.shape[:2]
    grey = bool((image == image[..., :1]).all())
    channels = torch.from_numpy(np.array(image[..., :1] if grey else image)).permute(2, 0, 1)
    with torch.no_grad():
        added = network(channels[:, None].float() / 255)[:, 0].permute(1, 2, 0).numpy()
    plain = fixed(image, FACTOR * height, FACTOR * width).astype(np.float32)
    return np.clip(np.rint(plain + 255 * added), 0, 255).astype(np.uint8)


def enlarged(network: torch.nn.Module, image: Image, height: int, width: int) -> Image:
    """Doubled until it is no smaller than asked for, then shrunk to the size by the bicubic rule. One that is to be shrunk in both
    directions is never doubled."""
    while image.shape[0] < height or image.shape[1] < width:
        if min(image.shape[:2]) < 1 or max(image.shape[0] / height, image.shape[1] / width) > FACTOR:
            break  # a long strip: what is left of its short side is left to the rule
        image = doubled(network, image)
    return image if image.shape[:2] == (height, width) else fixed(image, height, width)


def _learned(data_set: DataSet, settings: Settings) -> Upscaler:
    from safetensors.torch import load, save

    identity = f"{_VERSION} {STEPS} {data_set.images_fingerprint} {data_set.split_hash}"
    key = f"{LEARNED} {short_hash(identity)}"
    path = settings.cache_dir / "upscaling" / f"{short_hash(identity)}.safetensors"
    network = build_network().eval()
    try:
        network.load_state_dict(load(path.read_bytes()))
    except Exception:  # none there, or a torn file: made anew
        _train(network, _read(data_set, "train", MOST_IMAGES))
        write_atomically(path, save(network.state_dict()), flush=False)
    found = judged(network, _read(data_set, "validation", MOST_JUDGED))
    return Upscaler(
        LEARNED, key, lambda image, height, width: enlarged(network, image, height, width), *found
    )


def judged(network: torch.nn.Module, images: list[Image]) -> tuple[float | None, float | None]:
    """(PSNR of the network, of the bicubic rule): mean over images that are halved and restored; None without any."""
    pairs = [(one, fixed(one, one.shape[0] // FACTOR, one.shape[1] // FACTOR)) for one in images]
    if not pairs:
        return None, None
    learned = [psnr(doubled(network, small), one) for one, small in pairs]
    plain = [psnr(fixed(small, *one.shape[:2]), one) for one, small in pairs]
    finite = [pair for pair in zip(learned, plain, strict=True) if all(map(math.isfinite, pair))]
    return tuple(np.mean(finite, axis=0).tolist()) if finite else (None, None)  # type: ignore[return-value]


def _read(data_set: DataSet, part: Any, most: int) -> list[Image]:
    """Up to `most` images of a part, a seeded choice, cut to even sides; too small ones are left out."""
    rows = seeded_order(data_set.files, data_set.indices(part), "upscaling")[:most]
    images = (data_set.read_image(int(i)) for i in rows)
    return [
        one[: one.shape[0] // FACTOR * FACTOR, : one.shape[1] // FACTOR * FACTOR]
        for one in images
        if min(one.shape[:2]) >= PATCH_PX
    ]


def _train(network: torch.nn.Module, images: list[Image]) -> None:
    """Squared error of random patches that are halved and restored; seeded."""
    import torch
    from torch.nn import functional

    from lib.zoo.training import seeded

    if not images:
        raise CvAutomlError(f"upscale: no training image of {PATCH_PX} pixels or more a side to learn from")
    generator = np.random.default_rng(0)
    with seeded(0, torch.device("cpu")):
        for layer in network.children():
            if isinstance(layer, torch.nn.Conv2d) and layer.out_channels != FACTOR**2:
                layer.reset_parameters()
        optimizer = torch.optim.Adam(network.parameters(), LEARNING_RATE)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
        for _ in range(STEPS):
            truth = np.stack([_patch(images, generator) for _ in range(BATCH_SIZE)])
            small = np.stack([fixed(one, PATCH_PX // FACTOR, PATCH_PX // FACTOR) for one in truth])
            plain = np.stack([fixed(one, PATCH_PX, PATCH_PX) for one in small])
            wanted = _tensor(truth) - _tensor(plain)
            loss = functional.mse_loss(network(_tensor(small)), wanted)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()


def _tensor(images: Image) -> Any:
    """One channel of uint8 images (n, h, w, 3) → float32 (n, 1, h, w) in [0, 1]."""
    import torch

    return torch.from_numpy(np.array(images[..., 0]))[:, None].float() / 255


def _patch(images: list[Image], generator: np.random.Generator) -> Image:
    """A random patch; a random channel of it comes first, and it is mirrored half of the time."""
    image = images[int(generator.integers(len(images)))]
    y, x = (int(generator.integers(side - PATCH_PX + 1)) for side in image.shape[:2])
    patch = image[y : y + PATCH_PX, x : x + PATCH_PX]
    patch = patch[..., np.roll(np.arange(3), int(generator.integers(3)))]
    return np.ascontiguousarray(patch[:, ::-1] if generator.random() < 0.5 else patch)
