"""`handcrafted`: intensity, gradient and texture statistics of an image, no network: the trivial rival of every backbone."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from lib.features.texture import (
    GREY_OF_RGB,
    GRID,
    PATTERN_OF_CODE,
    Floats,
    co_occurrence,
    derivatives,
    haralick,
    laplacian,
    lbp_codes,
    orientation_histograms,
)
from lib.records import BackboneInfo
from lib.zoo.base import Backbone, BackboneSource, Extraction, Image, ImageSource, InputSpec, OnProgress
from lib.zoo.catalogue import HANDCRAFTED
from lib.zoo.preprocessing import READING_THREADS, read_ahead

Features = npt.NDArray[np.float32]

SIZE_PX = 128
HISTOGRAM_BINS = 16
GREY_LEVELS = 8
PERCENTILES = (5, 25, 50, 75, 95)
LBP_RADII = (1, 2)
COOCCURRENCE_OFFSETS = ((0, 1), (1, 0), (1, 1), (0, 4))

VERSION = "2"
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
    grey = colours @ GREY_OF_RGB
    across, down = derivatives(grey)
    parts: tuple[npt.ArrayLike, ...] = (
        _colour(colours),
        _intensity(grey),
        _edges(grey, np.hypot(across, down)),
        orientation_histograms(across, down),
        *(lbp_histogram(grey, radius) for radius in LBP_RADII),
        *(haralick(co_occurrence(grey, GREY_LEVELS, offset)) for offset in COOCCURRENCE_OFFSETS),
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


def _edges(grey: Floats, magnitude: Floats) -> Floats:
    strong = np.percentile(magnitude, (50, 90, 99))
    return np.array([magnitude.mean(), magnitude.std(), *strong, laplacian(grey).std()])


def lbp_histogram(grey: Floats, radius: int) -> Floats:
    """Shares of the 10 rotation-invariant uniform patterns: 0–8 brighter neighbours in one arc, and all others (bin 9)."""
    patterns = PATTERN_OF_CODE[lbp_codes(grey, radius)]
    return np.bincount(patterns.ravel(), minlength=10) / patterns.size


def _layout(grey: Floats) -> Floats:
    side = SIZE_PX // GRID
    cells = grey.reshape(GRID, side, GRID, side)
    profiles = [grey.mean(0).std(), grey.mean(1).std()]
    return np.concatenate([cells.mean((1, 3)).ravel(), cells.std((1, 3)).ravel(), profiles])


def _describe_source(source: ImageSource) -> Features:
    return describe_image(source() if callable(source) else source)


WIDTH = len(describe_image(np.zeros((8, 8, 3), np.uint8)))

INPUT = InputSpec(SIZE_PX, SIZE_PX, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "bilinear", 1.0)

INFO = BackboneInfo(
    name=HANDCRAFTED,
    family="handcrafted",
    parameters=0,
    embedding_width=WIDTH,
    input_size_px=SIZE_PX,
    flops=0.0,
    pretraining_data="none",
    pretraining_method="none",
    weights_origin="none",
    weights_hash=f"handcrafted-{VERSION}",
    input_hash=INPUT.digest(),
)


class HandcraftedBackbone(Backbone):
    """Statistics in place of a network."""

    info = INFO
    input = INPUT
    cache_key = shape = f"handcrafted {VERSION}"
    threads = READING_THREADS

    def extract(self, images: Iterable[ImageSource], on_progress: OnProgress | None = None) -> Extraction:
        """Statistics of each image: float32 array (n, WIDTH)."""
        rows: list[Features] = []
        for row in read_ahead(images, _describe_source, READ_AHEAD):
            rows.append(row)
            if on_progress:
                on_progress(len(rows))
        return Extraction(np.stack(rows) if rows else np.empty((0, WIDTH), np.float32))


SOURCE = BackboneSource(
    open=lambda name, settings: HandcraftedBackbone(), describe=lambda name, settings: INFO
)
