"""What one image looks like, in a few dozen numbers without a network: light, contrast, colour, edges, texture, frequency."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image

from lib.datasets.images import reduced_size
from lib.features.texture import (
    GREY_OF_RGB,
    NOT_UNIFORM,
    PATTERN_OF_CODE,
    co_occurrence,
    derivatives,
    haralick,
    laplacian,
    lbp_codes,
)
from lib.registry import Registry

AREA_PX = 160 * 160
_LEVELS = 16
_EPSILON = 1e-9


@dataclass(frozen=True)
class Look:
    """An image as it is measured: `grey` float32 (height, width) in 0…1; `colour` float32 (height, width, 3) or None for grey."""

    grey: npt.NDArray[np.float32]
    colour: npt.NDArray[np.float32] | None


DESCRIPTORS: Registry[Callable[[Look], dict[str, float]]] = Registry("appearance descriptor")
"""A group of numbers of one image, by name: a decorated function is all it takes to add some."""


def look_at(picture: Image.Image) -> Look:
    """A Look of an image of mode L or RGB, shrunk to about AREA_PX pixels; an RGB image with equal channels is grey."""
    size = reduced_size(picture.width, picture.height, AREA_PX)
    if size != picture.size:
        picture = picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    values = np.asarray(picture, dtype=np.float32) / np.float32(255)
    if values.ndim == 2:
        return Look(values, None)
    high, low = _extremes(values)
    if float((high - low).max()) < 0.03:
        return Look(values.mean(axis=2), None)
    return Look(np.asarray(values @ GREY_OF_RGB, np.float32), values)


def _extremes(colour: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Largest and smallest of the three channels; channel by channel, since NumPy is slow along an axis of three."""
    red, green, blue = np.moveaxis(colour, 2, 0)
    return np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)


def describe_image(look: Look) -> dict[str, float]:
    """All numbers of one image by name, finite, in the order of registration."""
    values = {name: value for group in DESCRIPTORS for name, value in DESCRIPTORS[group](look).items()}
    return dict(zip(values, np.nan_to_num([*values.values()], posinf=0.0, neginf=0.0).tolist(), strict=True))


@DESCRIPTORS.register("light")
def _light(look: Look) -> dict[str, float]:
    """Mean, standard deviation and skewness of grey; shares of pixels below 0.1 and above 0.9."""
    grey = look.grey
    mean, deviation = float(grey.mean()), float(grey.std())
    away = grey - np.float32(mean)
    skewness = float((away * away * away).mean()) / (deviation**3 + _EPSILON) if deviation > 1e-4 else 0.0
    return {
        "brightness": mean,
        "contrast": deviation,
        "skewness": skewness,
        "dark_share": float((grey < 0.1).mean()),
        "bright_share": float((grey > 0.9).mean()),
    }


@DESCRIPTORS.register("illumination")
def _illumination(look: Look) -> dict[str, float]:
    """Deviation of the means of an 8×8 grid of tiles, and the mean deviation inside a tile."""
    grey = look.grey.astype(np.float64)
    sizes, sums, squares = (_tile_sums(values) for values in (np.ones_like(grey), grey, grey * grey))
    means = sums / sizes
    return {
        "unevenness": float(means.std()),
        "local_contrast": float(np.sqrt(np.maximum(squares / sizes - means**2, 0.0)).mean()),
    }


def _tile_sums(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Sums over the tiles of an 8×8 grid, fewer where there are fewer pixels; the first tiles are the larger ones."""
    for axis in (0, 1):
        parts = np.array_split(np.arange(values.shape[axis]), 8)
        values = np.add.reduceat(values, [part[0] for part in parts if len(part)], axis=axis)
    return values


@DESCRIPTORS.register("colour")
def _colour(look: Look) -> dict[str, float]:
    """Mean HSV saturation, and colourfulness after Hasler and Süsstrunk (2003) on channels in 0…1; 0 for grey."""
    if look.colour is None:
        return {"saturation": 0.0, "colourfulness": 0.0}
    high, low = _extremes(look.colour)
    red, green, blue = np.moveaxis(look.colour, 2, 0)
    first, second = red - green, (red + green) / 2 - blue
    colourfulness = np.hypot(first.std(), second.std()) + 0.3 * np.hypot(first.mean(), second.mean())
    saturation = float(((high - low) / (high + _EPSILON)).mean())
    return {"saturation": saturation, "colourfulness": float(colourfulness)}


@DESCRIPTORS.register("entropy")
def _entropy(look: Look) -> dict[str, float]:
    """Shannon entropy of the 64-bin grey histogram, over its maximum: 0…1."""
    counts = np.bincount(np.minimum(look.grey * 64, 63).astype(np.int64).reshape(-1), minlength=64)
    return {"entropy": _entropy_of(counts) / np.log(64)}


@DESCRIPTORS.register("edges")
def _edges(look: Look) -> dict[str, float]:
    """Sobel magnitude, share of strong edges, horizontal against vertical, coherence of direction, Laplacian deviation.

    Direction is (Gx² − Gy²) / (Gx² + Gy²), 1 for upright lines; coherence is that of the mean structure tensor.
    """
    across, down = derivatives(look.grey)
    magnitude = np.hypot(across, down)
    xx, yy, xy = float((across**2).mean()), float((down**2).mean()), float((across * down).mean())
    total = xx + yy + _EPSILON
    return {
        "gradient": float(magnitude.mean()),
        "edge_density": float((magnitude > 0.1).mean()),
        "edge_direction": (xx - yy) / total,
        "edge_coherence": float(np.hypot(xx - yy, 2 * xy)) / total,
        "sharpness": float(laplacian(look.grey).std()),
    }


@DESCRIPTORS.register("texture")
def _texture(look: Look) -> dict[str, float]:
    """Haralick (1973) statistics of grey-level co-occurrence, 16 levels, neighbours to the right and below averaged."""
    pairs = [co_occurrence(look.grey, _LEVELS, offset) for offset in ((0, 1), (1, 0))]
    right, below = (haralick(pair)[0] for pair in pairs)
    names = ("glcm_contrast", "glcm_energy", "glcm_homogeneity", "glcm_correlation")
    values = dict(zip(names, haralick((pairs[0] + pairs[1]) / 2), strict=True))
    return {**values, "glcm_anisotropy": (right - below) / (right + below + _EPSILON)}


@DESCRIPTORS.register("patterns")
def _patterns(look: Look) -> dict[str, float]:
    """Local binary patterns, 8 neighbours (Ojala 2002): entropy of the codes, share of uniform and of flat ones."""
    if min(look.grey.shape) < 3:
        return {"lbp_entropy": 0.0, "lbp_uniform": 0.0, "lbp_flat": 1.0}
    counts = np.bincount(lbp_codes(look.grey).reshape(-1), minlength=256)
    share = counts / counts.sum()
    return {
        "lbp_entropy": _entropy_of(counts) / np.log(256),
        "lbp_uniform": float(share[PATTERN_OF_CODE != NOT_UNIFORM].sum()),
        "lbp_flat": float(share[0]),
    }


@DESCRIPTORS.register("frequency")
def _frequency(look: Look) -> dict[str, float]:
    """Slope of log power over log frequency (natural scenes: about −2), power above 1/4 cycle a pixel, across against down."""
    centred = look.grey - look.grey.mean()
    power = np.abs(np.fft.rfft2(centred)) ** 2
    high, upright, bins = _frequencies(*look.grey.shape)
    total = float(power.sum())
    if total < 1e-6:
        return {"spectrum_slope": 0.0, "high_frequency_share": 0.0, "spectrum_anisotropy": 0.0}
    by_band = np.bincount(bins, power.reshape(-1), len(_BANDS) + 1)[1:-1]
    counts = np.bincount(bins, minlength=len(_BANDS) + 1)[1:-1]
    there = counts > 0
    slope = 0.0
    if there.sum() > 1:
        centres = np.log(np.sqrt(_BANDS[:-1] * _BANDS[1:]))[there]
        slope = float(np.polyfit(centres, np.log(by_band[there] / counts[there] + 1e-12), 1)[0])
    return {
        "spectrum_slope": slope,
        "high_frequency_share": float(power[high].sum()) / total,
        "spectrum_anisotropy": float(power[upright].sum()) / total,
    }


_BANDS = np.geomspace(0.01, 0.5, 9)


@lru_cache(maxsize=4)  # most images of a set have one size
def _frequencies(
    height: int, width: int
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """Of rfft2's frequencies: which are above 1/4 cycle a pixel, which change more across than down, and their band, (n,)."""
    down = np.abs(np.fft.fftfreq(height))[:, None]
    across = np.fft.rfftfreq(width)[None, :]
    radius = np.hypot(down, across)
    return (
        radius > 0.25,
        np.broadcast_to(across > down, radius.shape),
        np.digitize(radius, _BANDS).reshape(-1),
    )


def _entropy_of(counts: npt.NDArray[np.int64]) -> float:
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log(share)).sum())
