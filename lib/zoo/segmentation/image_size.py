"""The size at which the images of a set of masks are worked on: as the settings say, or what fits the set's own images."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lib.config import SegmentationSettings

STEP_PX = 32
TYPICAL_PX = (320, 320)
CROP_PX = 256


def image_size(settings: SegmentationSettings, sizes: npt.NDArray[np.int64] | None = None) -> tuple[int, int]:
    """(height, width) in pixels; a side that is 0 in the settings comes from `sizes` (n, 2), heights and widths of the images.

    That is their median, brought down to `most_pixels` where it is larger, in steps of 32 pixels, which every decoder halves
    evenly. Crops and tiles are cut out at full resolution and are at most 256 pixels high and wide.
    """
    height, width = np.median(sizes, axis=0) if sizes is not None and len(sizes) else np.array(TYPICAL_PX)
    scale = min(1.0, float(np.sqrt(settings.most_pixels / (height * width))))
    if settings.input != "resized":
        height, width, scale = min(height, CROP_PX), min(width, CROP_PX), 1.0
    own = [max(round(float(side) * scale / STEP_PX), 1) * STEP_PX for side in (height, width)]
    return settings.image_height_px or own[0], settings.image_width_px or own[1]
