"""What one image looks like, in a few dozen numbers without a network: light, contrast, colour, edges, texture, frequency."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Descriptor:
    """A group of numbers measured together on one image."""

    names: tuple[str, ...]
    measure: Callable[[Look], tuple[float, ...]]


DESCRIPTORS: Registry[Descriptor] = Registry("appearance descriptor")


def descriptor(
    group: str, *names: str
) -> Callable[[Callable[[Look], tuple[float, ...]]], Callable[[Look], tuple[float, ...]]]:
    """Registers the decorated function as the source of the numbers `names`, in that order."""

    def register(measure: Callable[[Look], tuple[float, ...]]) -> Callable[[Look], tuple[float, ...]]:
        DESCRIPTORS.register(group)(Descriptor(names, measure))
        return measure

    return register


def descriptor_names() -> tuple[str, ...]:
    """Names of all numbers that `describe_image` gives, in its order."""
    return tuple(name for group in DESCRIPTORS for name in DESCRIPTORS[group].names)


def look_at(picture: Image.Image) -> Look:
    """A Look of an image of mode L or RGB, shrunk to about AREA_PX pixels; an RGB image with equal channels is grey."""
    size = reduced_size(picture.width, picture.height, AREA_PX)
    if size != picture.size:
        picture = picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    values = np.asarray(picture, dtype=np.float32) / np.float32(255)
    if values.ndim == 2:
        return Look(values, None)
    if float(np.ptp(values, axis=2).max()) < 0.03:
        return Look(values.mean(axis=2), None)
    return Look(np.asarray(values @ GREY_OF_RGB, np.float32), values)


def describe_image(look: Look) -> npt.NDArray[np.float64]:
    """All numbers of one image, float (n_descriptors,), finite."""
    values = [value for group in DESCRIPTORS for value in DESCRIPTORS[group].measure(look)]
    return np.nan_to_num(np.array(values, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)


@descriptor("light", "brightness", "contrast", "skewness", "dark_share", "bright_share")
def _light(look: Look) -> tuple[float, ...]:
    """Mean, standard deviation and skewness of grey; shares of pixels below 0.1 and above 0.9."""
    grey = look.grey
    mean, deviation = float(grey.mean()), float(grey.std())
    skewness = float(((grey - mean) ** 3).mean()) / (deviation**3 + _EPSILON) if deviation > 1e-4 else 0.0
    return mean, deviation, skewness, float((grey < 0.1).mean()), float((grey > 0.9).mean())


@descriptor("illumination", "unevenness", "local_contrast")
def _illumination(look: Look) -> tuple[float, ...]:
    """Deviation of the means of an 8×8 grid of tiles, and the mean deviation inside a tile."""
    tiles = [
        tile for band in np.array_split(look.grey, 8, axis=0) for tile in np.array_split(band, 8, axis=1)
    ]
    filled = [tile for tile in tiles if tile.size]
    return float(np.std([t.mean() for t in filled])), float(np.mean([t.std() for t in filled]))


@descriptor("colour", "saturation", "colourfulness")
def _colour(look: Look) -> tuple[float, ...]:
    """Mean HSV saturation, and colourfulness after Hasler and Süsstrunk (2003) on channels in 0…1; 0 for grey."""
    if look.colour is None:
        return 0.0, 0.0
    high, low = look.colour.max(axis=2), look.colour.min(axis=2)
    red, green, blue = np.moveaxis(look.colour, 2, 0)
    first, second = red - green, (red + green) / 2 - blue
    colourfulness = np.hypot(first.std(), second.std()) + 0.3 * np.hypot(first.mean(), second.mean())
    return float(((high - low) / (high + _EPSILON)).mean()), float(colourfulness)


@descriptor("entropy", "entropy")
def _entropy(look: Look) -> tuple[float, ...]:
    """Shannon entropy of the 64-bin grey histogram, over its maximum: 0…1."""
    counts = np.bincount(np.minimum(look.grey * 64, 63).astype(np.int64).reshape(-1), minlength=64)
    return (_entropy_of(counts) / np.log(64),)


@descriptor("edges", "gradient", "edge_density", "edge_direction", "edge_coherence", "sharpness")
def _edges(look: Look) -> tuple[float, ...]:
    """Sobel magnitude, share of strong edges, horizontal against vertical, coherence of direction, Laplacian deviation.

    Direction is (Gx² − Gy²) / (Gx² + Gy²), 1 for upright lines; coherence is that of the mean structure tensor.
    """
    across, down = derivatives(look.grey)
    magnitude = np.hypot(across, down)
    xx, yy, xy = float((across**2).mean()), float((down**2).mean()), float((across * down).mean())
    total = xx + yy + _EPSILON
    coherence = float(np.hypot(xx - yy, 2 * xy)) / total
    return (
        float(magnitude.mean()),
        float((magnitude > 0.1).mean()),
        (xx - yy) / total,
        coherence,
        float(laplacian(look.grey).std()),
    )


@descriptor(
    "texture", "glcm_contrast", "glcm_energy", "glcm_homogeneity", "glcm_correlation", "glcm_anisotropy"
)
def _texture(look: Look) -> tuple[float, ...]:
    """Haralick (1973) statistics of grey-level co-occurrence, 16 levels, neighbours to the right and below averaged."""
    pairs = [co_occurrence(look.grey, _LEVELS, offset) for offset in ((0, 1), (1, 0))]
    right, below = (haralick(pair)[0] for pair in pairs)
    contrast, energy, homogeneity, correlation = haralick((pairs[0] + pairs[1]) / 2)
    return contrast, energy, homogeneity, correlation, (right - below) / (right + below + _EPSILON)


@descriptor("patterns", "lbp_entropy", "lbp_uniform", "lbp_flat")
def _patterns(look: Look) -> tuple[float, ...]:
    """Local binary patterns, 8 neighbours (Ojala 2002): entropy of the codes, share of uniform and of flat ones."""
    if min(look.grey.shape) < 3:
        return 0.0, 0.0, 1.0
    counts = np.bincount(lbp_codes(look.grey).reshape(-1), minlength=256)
    share = counts / counts.sum()
    return (
        _entropy_of(counts) / np.log(256),
        float(share[PATTERN_OF_CODE != NOT_UNIFORM].sum()),
        float(share[0]),
    )


@descriptor("frequency", "spectrum_slope", "high_frequency_share", "spectrum_anisotropy")
def _frequency(look: Look) -> tuple[float, ...]:
    """Slope of log power over log frequency (natural scenes: about −2), power above 1/4 cycle a pixel, across against down."""
    centred = look.grey - look.grey.mean()
    power = np.abs(np.fft.rfft2(centred)) ** 2
    down = np.abs(np.fft.fftfreq(look.grey.shape[0]))[:, None]
    across = np.fft.rfftfreq(look.grey.shape[1])[None, :]
    radius = np.hypot(down, across)
    total = float(power.sum())
    if total < 1e-6:
        return 0.0, 0.0, 0.0
    bins = np.digitize(radius, _BANDS)
    by_band = np.bincount(bins.reshape(-1), power.reshape(-1), len(_BANDS) + 1)[1:-1]
    counts = np.bincount(bins.reshape(-1), minlength=len(_BANDS) + 1)[1:-1]
    there = counts > 0
    slope = 0.0
    if there.sum() > 1:
        centres = np.log(np.sqrt(_BANDS[:-1] * _BANDS[1:]))[there]
        slope = float(np.polyfit(centres, np.log(by_band[there] / counts[there] + 1e-12), 1)[0])
    sideways = float(power[np.broadcast_to(across > down, power.shape)].sum()) / total
    return slope, float(power[radius > 0.25].sum()) / total, sideways


_BANDS = np.geomspace(0.01, 0.5, 9)


def _entropy_of(counts: npt.NDArray[np.int64]) -> float:
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log(share)).sum())
