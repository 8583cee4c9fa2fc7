"""Texture of a grey image as numbers: derivatives, local binary patterns, co-occurrence. Grey is a float array (h, w) in 0…1."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]

GREY_OF_RGB = np.array([0.299, 0.587, 0.114], dtype=np.float32)
JUST_BRIGHTER = np.float32(1 / 255)  # less is noise
# The eight neighbours (rows, columns) in circular order, so that changes around the circle can be counted.
CIRCLE = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))
NOT_UNIFORM = 9
GRID = 4
ORIENTATIONS = 8


def derivatives(grey: Floats) -> tuple[Floats, Floats]:
    """Sobel's derivatives across and down, over 4, beyond the border a copy of it."""
    framed = np.pad(grey, 1, mode="edge")
    return _sobel(framed), _sobel(framed.T).T


def _sobel(framed: Floats) -> Floats:
    smooth = framed[:-2] + 2 * framed[1:-1] + framed[2:]
    return (smooth[:, 2:] - smooth[:, :-2]) * np.float32(0.25)


def orientation_histograms(across: Floats, down: Floats) -> Floats:
    """Unsigned gradient directions (8 bins over 180°), weighted by strength, in each of 4 x 4 cells; each cell of norm 1."""
    magnitude = np.hypot(across, down)
    angle = np.mod(np.arctan2(down, across), np.pi)
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


def laplacian(grey: Floats) -> Floats:
    """The four neighbours less four times the pixel, beyond the border a copy of it."""
    framed = np.pad(grey, 1, mode="edge")
    return framed[:-2, 1:-1] + framed[2:, 1:-1] + framed[1:-1, :-2] + framed[1:-1, 2:] - 4 * grey


def lbp_codes(grey: Floats, radius: int = 1) -> npt.NDArray[np.uint8]:
    """Local binary patterns (Ojala 2002), `radius` pixels off the border: one bit for each neighbour that is brighter."""
    height, width = (side - 2 * radius for side in grey.shape)
    centre = grey[radius : radius + height, radius : radius + width] + JUST_BRIGHTER
    codes = np.zeros(centre.shape, dtype=np.uint8)
    for bit, (down, right) in enumerate(CIRCLE):
        top, left = radius * (1 + down), radius * (1 + right)
        brighter = grey[top : top + height, left : left + width] > centre
        codes |= brighter.astype(np.uint8) << np.uint8(bit)
    return codes


def _pattern_of(code: int) -> int:
    bits = [code >> bit & 1 for bit in range(len(CIRCLE))]
    changes = sum(bit != bits[index - 1] for index, bit in enumerate(bits))
    return sum(bits) if changes <= 2 else NOT_UNIFORM


PATTERN_OF_CODE = np.array([_pattern_of(code) for code in range(2 ** len(CIRCLE))])
"""Code → its rotation-invariant uniform pattern: 0–8 brighter neighbours in one arc, NOT_UNIFORM for all others."""


def co_occurrence(grey: Floats, levels: int, offset: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Symmetric co-occurrence (levels, levels) of pixels at an offset (rows, columns), summing to 1 (all 0 without pairs)."""
    quantised = np.minimum(grey * levels, levels - 1).astype(np.int64)
    down, right = offset
    height, width = quantised.shape
    first = quantised[: max(height - down, 0), : max(width - right, 0)]
    codes = (first * levels + quantised[down:, right:]).reshape(-1)
    counts = np.bincount(codes, minlength=levels**2).reshape(levels, levels)
    both = (counts + counts.T).astype(np.float64)
    return both / max(both.sum(), 1.0)


def haralick(joint: npt.NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Contrast, energy, homogeneity and correlation (Haralick 1973) of a co-occurrence; a flat image correlates perfectly."""
    levels = np.arange(len(joint))
    away = np.subtract.outer(levels, levels) ** 2
    marginal = joint.sum(axis=1)
    centred = levels - marginal @ levels
    variance = float(marginal @ centred**2)
    correlation = float(centred @ joint @ centred) / variance if variance > 1e-9 else 1.0
    return (
        float((joint * away).sum()),
        float((joint**2).sum()),
        float((joint / (1 + away)).sum()),
        correlation,
    )
