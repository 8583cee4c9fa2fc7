"""Images beside what augmentation makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lib.datasets.base import DataSet
from lib.datasets.splits import seeded_order
from lib.files import save_picture

VERSIONS = 5
SIDE_PX = 224
MASK_COLOUR = "#ffb000"


def draw_augmentations(
    data_set: DataSet, recipe: str, steps: str, path: Path, n_images: int, seed: int
) -> None:
    """One row an image of the train part: the image, then `VERSIONS` of it; masks are outlined. `steps`: the recipe's transforms."""
    import torch
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from lib.zoo.training import seeded

    rows = seeded_order(data_set.files, data_set.indices("train"), f"augmentations {seed}")[:n_images]
    height, width = _size(data_set)
    wide = 1.9 * max(1.0, width / height) ** 0.5
    size = (wide * (VERSIONS + 1), (wide * height / width + 0.1) * len(rows) + 0.3)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.subplots(len(rows), VERSIONS + 1, squeeze=False)
    with seeded(seed, torch.device("cpu")):
        for line, index in zip(axes, rows, strict=True):
            for axis, (image, mask) in zip(
                line, _versions(data_set, int(index), steps, height, width), strict=True
            ):
                axis.imshow(image)
                if mask is not None and mask.any():
                    axis.contour(mask, levels=[0.5], colors=MASK_COLOUR, linewidths=1)
                axis.set_axis_off()
    for place, axis in enumerate(axes[0]):
        axis.set_title("as it is" if not place else recipe, fontsize=9, parse_math=False)
    save_picture(figure, path)


def _size(data_set: DataSet) -> tuple[int, int]:
    """Height and width of the median image, its shorter side at `SIDE_PX`."""
    height, width = np.median(data_set.sizes, axis=0) if data_set.sizes is not None else (SIDE_PX, SIDE_PX)
    scale = SIDE_PX / min(height, width)
    return round(height * scale), round(width * scale)


def _versions(data_set: DataSet, index: int, steps: str, height: int, width: int) -> list[tuple[Any, Any]]:
    """(image uint8 (h, w, 3), whether a pixel has a class bool (h, w) or None), the original first. Mixtures mix an image with the
    one after it."""
    import torch

    from lib.zoo.augmentation import Augmentation
    from lib.zoo.preprocessing import SizedImages

    spec = _spec(height, width)
    sized = SizedImages(data_set, spec)
    others = np.array([index, *data_set.indices("train")[:1]])
    images = torch.from_numpy(sized.images(others)).movedim(-1, 1)
    has_masks = data_set.read_mask is not None
    masks = torch.from_numpy(sized.masks(others)) if has_masks else None
    augment = Augmentation.of(steps, height, width)
    shown = [(images[:1], masks[:1] if masks is not None else None)]
    for _ in range(VERSIONS):
        seen, moved = augment(images, masks)
        mixed, _ = augment.mixed(seen, torch.zeros(len(seen), dtype=torch.int64))
        shown.append((mixed[:1], moved[:1] if moved is not None else None))
    return [
        (
            image[0].movedim(0, -1).clamp(0, 255).to(torch.uint8).numpy(),
            None if mask is None else mask[0].any(dim=0).numpy(),
        )
        for image, mask in shown
    ]


def _spec(height: int, width: int) -> Any:
    from lib.zoo.base import InputSpec

    return InputSpec(height, width, (0.0,) * 3, (1.0,) * 3, "bicubic", 1.0)
