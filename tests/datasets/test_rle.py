"""RLE against hand-computed cases, a slow independent decoder, and Kaggle's own rows."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from lib.datasets import rle
from lib.datasets.layouts.severstal import read_defects
from lib.errors import DataSetError


def _decoded(text: str, height: int, width: int) -> np.ndarray:  # type: ignore[type-arg]
    mask = np.zeros((height, width), dtype=bool)
    rle.fill(rle.parse(text, height, width), mask)
    return mask


@pytest.mark.parametrize("density", [0.0, 0.02, 0.5, 1.0])
def test_encode_and_decode_undo_each_other(density: float) -> None:
    mask = np.random.default_rng(3).random((17, 29)) < density
    assert (_decoded(rle.encode(mask), 17, 29) == mask).all()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1 2 3", "3 numbers"),
        ("0 2", "start 0 is below 1"),
        ("-4 2", "start -4 is below 1"),
        ("1 0", "length 0 is below 1"),
        ("11 3", "goes past the last pixel (12 in 3×4)"),
        ("1 3 3 2", "the run at 3 overlaps"),
        ("1 two", "'two'"),
        ("1 2.5", "'2.5'"),
        ("1 99999999999999999999", "'99999999999999999999'"),
    ],
)
def test_a_broken_row_is_refused_with_the_number_at_fault(text: str, says: str) -> None:
    with pytest.raises(DataSetError, match="RLE") as error:
        _decoded(text, 3, 4)
    assert says in str(error.value)


def test_areas_of_all_real_rows_agree_with_the_independent_index(realdata: Path) -> None:
    with (realdata / "severstal_rle" / "index.csv").open(encoding="utf-8") as file:
        index = {row["image_id"]: row for row in csv.DictReader(file)}
    areas: dict[str, dict[str, int]] = defaultdict(dict)
    defects = read_defects(realdata / "severstal_rle" / "train.csv")
    for defect in defects:
        areas[defect.image][defect.class_id] = rle.parse(defect.text, 256, 1600).area
    assert len(defects) == 5174
    wrong = [
        (image, k)
        for image, by_class in areas.items()
        for k in ("1", "2", "3", "4")
        if by_class.get(k, 0) != int(index[image][f"area_class_{k}"])
    ]
    assert wrong == []


def test_real_rows_survive_decoding_and_encoding(realdata: Path) -> None:
    for defect in read_defects(realdata / "severstal_rle" / "train.csv")[:40]:
        assert rle.encode(_decoded(defect.text, 256, 1600)) == defect.text
