"""`handcrafted`: intensity, gradient and texture statistics of an image, no network: the trivial rival of every backbone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from lib.records import BackboneInfo
from lib.zoo.backbones import Backbone, Extraction, Image, ImageSource, InputSpec, OnProgress
from lib.zoo.reading import read_ahead

Floats = npt.NDArray[np.floating[Any]]
Features = npt.NDArray[np.float32]

SIZE_PX = 128
GRID = 4
ORIENTATIONS = 8
HISTOGRAM_BINS = 16
GREY_LEVELS = 8
PERCENTILES = (5, 25, 50, 75, 95)
LBP_RADII = (1, 2)
COOCCURRENCE_OFFSETS = ((0, 1), (1, 0), (1, 1), (0, 4))
# The eight neighbours in circular order, so that changes around the circle can be counted.
CIRCLE = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))

VERSION = "1"
READ_AHEAD = 64


def describe_image(image: Image) -> Features:
    """Statistics of one RGB uint8 image (height, width, 3): float32 array (WIDTH,), all finite.

    Parts: colour, intensity, gradient, orientation histograms on a 4 x 4 grid (HOG, Dalal & Triggs 2005), rotation-invariant
    uniform LBP histograms (Ojala et al. 2002), grey-level co-occurrence statistics (Haralick 1973), a grid of brightness.
    """
    small = np.asarray(
        PillowImage.fromarray(image).resize((SIZE_PX, SIZE_PX), PillowImage.Resampling.BILINEAR)
    )
    colours = small.astype(np.float32) / 255
    grey = colours @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    horizontal, vertical = _gradients(grey)
    parts = (
        _colour(colours),
        _intensity(grey),
        _edges(grey, np.hypot(horizontal, vertical)),
        orientation_histograms(horizontal, vertical),
        *(lbp_histogram(grey, radius) for radius in LBP_RADII),
        *(cooccurrence_statistics(grey, offset) for offset in COOCCURRENCE_OFFSETS),
        _layout(grey),
    )
    return np.concatenate(parts).astype(np.float32)


def _colour(colours: Floats) -> Floats:
    flat = colours.reshape(-1, 3)
    saturation = flat.max(1) - flat.min(1)
    return np.array([*flat.mean(0), *flat.std(0), saturation.mean(), saturation.std()])


def _intensity(grey: Floats) -> Floats:
    values = grey.ravel()
    spread = values.std()
    standardised = (values - values.mean()) / max(float(spread), 1e-6)
    squares = standardised * standardised
    histogram = np.bincount(
        np.minimum((values * HISTOGRAM_BINS).astype(int), HISTOGRAM_BINS - 1), minlength=HISTOGRAM_BINS
    )
    return np.concatenate(
        [
            [values.mean(), spread, (squares * standardised).mean(), (squares * squares).mean()],
            np.percentile(values, PERCENTILES),
            histogram / values.size,
        ]
    )


def _gradients(grey: Floats) -> tuple[Floats, Floats]:
    return np.gradient(grey, axis=1), np.gradient(grey, axis=0)


def _edges(grey: Floats, magnitude: Floats) -> Floats:
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
    return np.array(
        [magnitude.mean(), magnitude.std(), *np.percentile(magnitude, (50, 90, 99)), laplacian.std()]
    )


def orientation_histograms(horizontal: Floats, vertical: Floats) -> Floats:
    """Unsigned gradient directions (8 bins over 180°), weighted by strength, in each of 4 x 4 cells; each cell of norm 1."""
    magnitude = np.hypot(horizontal, vertical)
    angle = np.mod(np.arctan2(vertical, horizontal), np.pi)
    direction = np.minimum((angle / np.pi * ORIENTATIONS).astype(int), ORIENTATIONS - 1)
    rows, columns = (np.arange(n) * GRID // n for n in magnitude.shape)
    cell = rows[:, None] * GRID + columns[None, :]
    histogram = np.bincount(
        (cell * ORIENTATIONS + direction).ravel(),
        weights=magnitude.ravel(),
        minlength=GRID * GRID * ORIENTATIONS,
    ).reshape(-1, ORIENTATIONS)
    norms = np.linalg.norm(histogram, axis=1, keepdims=True)
    return (histogram / np.maximum(norms, 1e-6)).ravel()


def lbp_histogram(grey: Floats, radius: int) -> Floats:
    """Shares of the 10 rotation-invariant uniform patterns: 0–8 brighter neighbours in one arc, and all others (bin 9)."""
    inner = grey[radius:-radius, radius:-radius]
    height, width = grey.shape
    brighter = np.stack(
        [
            grey[
                radius * (1 + dy) : height - radius * (1 - dy), radius * (1 + dx) : width - radius * (1 - dx)
            ]
            >= inner
            for dy, dx in CIRCLE
        ]
    )
    changes = (brighter != np.roll(brighter, 1, axis=0)).sum(0)
    pattern = np.where(changes <= 2, brighter.sum(0), 9)
    return np.bincount(pattern.ravel(), minlength=10) / pattern.size


def cooccurrence_statistics(grey: Floats, offset: tuple[int, int]) -> Floats:
    """Contrast, homogeneity, energy and correlation of pairs of 8 grey levels at an offset (rows, columns)."""
    levels = np.minimum((grey * GREY_LEVELS).astype(int), GREY_LEVELS - 1)
    down, right = offset
    first = levels[: levels.shape[0] - down, : levels.shape[1] - right]
    second = levels[down:, right:]
    counts = np.bincount((first * GREY_LEVELS + second).ravel(), minlength=GREY_LEVELS**2)
    pairs = (counts / counts.sum()).reshape(GREY_LEVELS, GREY_LEVELS)
    i, j = np.indices(pairs.shape)
    mean_i, mean_j = (pairs * i).sum(), (pairs * j).sum()
    spread = np.sqrt((pairs * (i - mean_i) ** 2).sum() * (pairs * (j - mean_j) ** 2).sum())
    covariance = (pairs * (i - mean_i) * (j - mean_j)).sum()
    # A flat patch has no spread: its pixels agree perfectly.
    correlation = covariance / spread if spread > 1e-12 else 1.0
    return np.array(
        [
            (pairs * (i - j) ** 2).sum(),
            (pairs / (1 + np.abs(i - j))).sum(),
            np.sqrt((pairs**2).sum()),
            correlation,
        ]
    )


def _layout(grey: Floats) -> Floats:
    side = SIZE_PX // GRID
    cells = grey.reshape(GRID, side, GRID, side)
    profiles = [grey.mean(0).std(), grey.mean(1).std()]
    return np.concatenate([cells.mean((1, 3)).ravel(), cells.std((1, 3)).ravel(), profiles])


def _describe_source(source: ImageSource) -> Features:
    return describe_image(source() if callable(source) else source)


WIDTH = len(describe_image(np.zeros((8, 8, 3), np.uint8)))

INFO = BackboneInfo(
    name="handcrafted",
    family="handcrafted",
    parameters=0,
    embedding_width=WIDTH,
    input_size_px=SIZE_PX,
    flops=0.0,
    pretraining_data="none",
    pretraining_method="none",
    weights_origin="none",
    weights_hash=f"handcrafted-{VERSION}",
)


class HandcraftedBackbone(Backbone):
    """Statistics in place of a network."""

    info = INFO
    input = InputSpec(SIZE_PX, SIZE_PX, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "bilinear", 1.0)
    cache_key = f"handcrafted {VERSION}"

    def extract(self, images: Iterable[ImageSource], on_progress: OnProgress | None = None) -> Extraction:
        """Statistics of each image: float32 array (n, WIDTH)."""
        rows: list[Features] = []
        for row in read_ahead(images, _describe_source, READ_AHEAD):
            rows.append(row)
            if on_progress:
                on_progress(len(rows))
        return Extraction(np.stack(rows) if rows else np.empty((0, WIDTH), np.float32))
