"""Appearance numbers against hand-computed cases."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from lib.features.appearance import AREA_PX, DESCRIPTORS, describe_image, look_at


def test_numbers_are_as_many_as_their_names_and_finite_for_any_shape() -> None:
    names = describe_image(look_at(Image.fromarray(np.eye(64, dtype=np.uint8))))
    assert len(names) == sum(len(DESCRIPTORS[g](look_at(Image.new("L", (9, 9))))) for g in DESCRIPTORS)
    for shape in ((1, 1), (1, 300), (2, 2), (700, 3), (300, 400, 3)):
        values = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
        described = describe_image(look_at(Image.fromarray(values)))
        assert [*described] == [*names] and np.isfinite([*described.values()]).all()


def test_co_occurrence_of_a_hand_computed_image() -> None:
    look = look_at(Image.fromarray(np.array([[0, 16], [0, 16]], dtype=np.uint8)))
    values = DESCRIPTORS["texture"](look)
    # to the right: 0→1 twice (contrast 1); below: 0→0 and 1→1 (contrast 0); joint: 1/4 in each of four cells
    assert values["glcm_contrast"] == pytest.approx(0.5) and values["glcm_energy"] == pytest.approx(0.25)
    assert values["glcm_homogeneity"] == pytest.approx(0.75) and values["glcm_correlation"] == pytest.approx(
        0
    )
    assert values["glcm_anisotropy"] == pytest.approx(1)


def test_an_image_is_looked_at_in_at_most_the_stated_area() -> None:
    grey = look_at(Image.fromarray(np.zeros((256, 1600), dtype=np.uint8))).grey
    assert grey.size <= 1.02 * AREA_PX and grey.shape[1] / grey.shape[0] == pytest.approx(6.25, rel=0.05)
