"""Texture numbers against SciPy and hand-computed cases."""

import numpy as np
import pytest
from scipy import ndimage

from lib.features.texture import (
    NOT_UNIFORM,
    PATTERN_OF_CODE,
    co_occurrence,
    derivatives,
    haralick,
    laplacian,
    lbp_codes,
)


def test_derivatives_and_laplacian_are_scipys():
    grey = np.random.default_rng(0).random((20, 31)).astype(np.float32)
    across, down = derivatives(grey)
    np.testing.assert_allclose(across, ndimage.sobel(grey, axis=1, mode="nearest") / 4, atol=1e-6)
    np.testing.assert_allclose(down, ndimage.sobel(grey, axis=0, mode="nearest") / 4, atol=1e-6)
    np.testing.assert_allclose(laplacian(grey), ndimage.laplace(grey, mode="nearest"), atol=1e-5)


@pytest.mark.parametrize("radius", [1, 2])
def test_lbp_of_a_single_bright_pixel_by_hand(radius):
    grey = np.zeros((5 + 2 * radius, 5 + 2 * radius), np.float32)
    middle = 2 + radius
    grey[middle, middle] = 1
    codes = lbp_codes(grey, radius)
    # Eight pixels see one brighter neighbour, each in another direction; the bright one and all others see none.
    assert sorted(codes[codes > 0]) == [2**bit for bit in range(8)]
    assert codes.shape == (5, 5) and codes[2, 2] == 0


def test_noise_below_a_grey_level_has_no_pattern():
    grey = 0.5 + 0.003 * np.random.default_rng(0).random((9, 9)).astype(np.float32)
    assert not lbp_codes(grey).any()


def test_there_are_58_uniform_codes_of_8_neighbours():
    # 2 without a change around the circle and 8 x 7 arcs (Ojala 2002).
    assert (PATTERN_OF_CODE != NOT_UNIFORM).sum() == 58
    assert PATTERN_OF_CODE[0b00000111] == PATTERN_OF_CODE[0b11000001] == 3
    assert PATTERN_OF_CODE[0b00000101] == NOT_UNIFORM


def test_co_occurrence_of_stripes_by_hand():
    stripes = np.tile(np.array([0.0, 1.0], np.float32), (4, 2))
    joint = co_occurrence(stripes, 8, (0, 1))
    # Levels 0 and 7 alternate along a row: half of the pairs (0, 7), half (7, 0); down a column nothing changes.
    assert joint[0, 7] == joint[7, 0] == 0.5 and joint.sum() == 1
    assert haralick(joint) == pytest.approx((49, 0.5, 1 / 50, -1))
    assert haralick(co_occurrence(stripes, 8, (1, 0))) == pytest.approx((0, 0.5, 1, 1))


@pytest.mark.parametrize("offset", [(0, 1), (1, 0), (1, 1), (0, 4)])
def test_co_occurrence_of_a_flat_image_is_perfect_agreement(offset):
    assert haralick(co_occurrence(np.zeros((16, 16)), 8, offset)) == pytest.approx((0, 1, 1, 1))
