"""An image with the masks laid over it: each class in its colour, outlined, its defects in boxes, a legend below."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from lib.inference.masks import Defect, Masks

COLOURS = ((255, 77, 77), (255, 176, 0), (33, 199, 255), (155, 226, 58), (232, 107, 255), (111, 140, 255))
STRENGTH = 0.35
LEGEND_SHARE = 0.05
SMALLEST_LEGEND_PX, LARGEST_LEGEND_PX = 14, 40
MOST_BOXES = 40


def overlay(
    image: npt.NDArray[np.uint8], masks: Masks, found: Sequence[Defect], classes: Sequence[str]
) -> Image.Image:
    """uint8 image (h, w, 3) and bool masks (n_classes, h, w) → a picture, higher by the legend. Of many defects the largest
    have boxes."""
    picture = Image.fromarray(_tinted(image, masks))
    height = int(np.clip(LEGEND_SHARE * max(image.shape[:2]), SMALLEST_LEGEND_PX, LARGEST_LEGEND_PX))
    canvas = Image.new("RGB", (picture.width, picture.height + height), "black")
    canvas.paste(picture)
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(size=0.7 * height)
    for one in sorted(found, key=lambda defect: -defect.area_px)[:MOST_BOXES]:
        colour = _colour(list(classes).index(one.class_name))
        draw.rectangle((one.x0 - 1, one.y0 - 1, one.x1, one.y1), outline=colour)
    _legend(draw, classes, found, font, (picture.width, picture.height, height))
    return canvas


def _colour(k: int) -> tuple[int, int, int]:
    return COLOURS[k % len(COLOURS)]


def _tinted(image: npt.NDArray[np.uint8], masks: Masks) -> npt.NDArray[np.uint8]:
    tinted = image.astype(np.float32)
    for k in np.flatnonzero(masks.any(axis=(1, 2))).tolist():
        inner, colour = ndimage.binary_erosion(masks[k]), np.array(_colour(k), dtype=np.float32)
        tinted[inner] = (1 - STRENGTH) * tinted[inner] + STRENGTH * colour
        tinted[masks[k] & ~inner] = colour
    return tinted.round().astype(np.uint8)


def _legend(
    draw: ImageDraw.ImageDraw,
    classes: Sequence[str],
    found: Sequence[Defect],
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
    place: tuple[int, int, int],
) -> None:
    """Below the image, from the left: each class that was found, with its number of defects and their highest confidence."""
    width, top, height = place
    side, x = int(0.6 * height), 4
    for k, name in enumerate(classes):
        of_class = [one.confidence for one in found if one.class_name == name]
        if not of_class or x > width:
            continue
        y = top + (height - side) // 2
        draw.rectangle((x, y, x + side, y + side), fill=_colour(k))
        text = (
            f"{name}: {len(of_class)} defect{'s' * (len(of_class) > 1)}, confidence up to {max(of_class):.2f}"
        )
        draw.text((x + side + 4, top + height // 2), text, fill="white", font=font, anchor="lm")
        x += side + 16 + int(draw.textlength(text, font=font))
    if not found:
        draw.text((4, top + height // 2), "no defect", fill="white", font=font, anchor="lm")
