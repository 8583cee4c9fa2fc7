"""What the masks of a set look like: area, number, size and shape of defects, and how much they stand out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from lib.datasets.annotations import components
from lib.datasets.base import DataSet
from lib.datasets.images import read_reduced, reduced_size

_AREA_PX = 256 * 256
_RING_PX = 4


def measure_defects(data_set: DataSet, positions: npt.NDArray[np.int64]) -> dict[str, float]:
    """Means over the images at `positions`, all of which must have a defect.

    Areas are shares of the image; a defect is a connected component of one class on masks of about 256×256
    pixels; contrast is |mean grey inside − mean grey in a ring around it| in 0…1.
    """
    sizes_of, shapes_of, areas, contrasts = zip(
        *(_measure_one(data_set, int(i)) for i in positions), strict=True
    )
    sizes = np.concatenate(sizes_of)
    return {
        "defect_area_share": float(np.mean(areas)),
        "defect_count": len(sizes) / len(positions),
        "defect_size_mean": float(sizes.mean()),
        "defect_size_median": float(np.median(sizes)),
        "log_defect_size": float(np.log10(sizes).mean()),
        "defect_elongation": float(np.concatenate(shapes_of).mean()),
        "defect_contrast": float(np.mean(contrasts)),
    }


def _measure_one(
    data_set: DataSet, index: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], float, float]:
    """(size share of each component, its longer over its shorter box side, area share of all, contrast)."""
    assert data_set.read_mask is not None
    masks = shrunk(data_set.read_mask(index))
    found = components(masks)
    sizes = np.array([c.area for c in found]) / masks[0].size
    shapes = np.array([max(c.width, c.height) / min(c.width, c.height) for c in found])
    covered: npt.NDArray[np.bool_] = np.any(masks, axis=0)
    return sizes, shapes, float(covered.mean()), _contrast(data_set, index, covered)


def shrunk(masks: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Masks of about _AREA_PX pixels; a class that has a pixel keeps one."""
    n_classes, height, width = masks.shape
    size = reduced_size(width, height, _AREA_PX)
    if size == (width, height):
        return masks
    small = np.zeros((n_classes, size[1], size[0]), dtype=bool)
    for k in np.flatnonzero(masks.any(axis=(1, 2))):
        grey = Image.fromarray(masks[k].astype(np.uint8) * 255).resize(size, Image.Resampling.BOX)
        values = np.asarray(grey)
        small[k] = values >= min(128, int(values.max()))
    return small


def _contrast(data_set: DataSet, index: int, covered: npt.NDArray[np.bool_]) -> float:
    from scipy import ndimage

    picture = read_reduced(data_set.root / data_set.files[index], _AREA_PX).convert("L")
    grey = np.asarray(picture.resize(covered.shape[::-1], Image.Resampling.BILINEAR), dtype=np.float64) / 255
    ring = ndimage.binary_dilation(covered, iterations=_RING_PX) & ~covered
    if not ring.any() or not covered.any():
        return 0.0
    return abs(float(grey[covered].mean() - grey[ring].mean()))
