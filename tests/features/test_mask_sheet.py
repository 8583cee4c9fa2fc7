"""A train.csv without its images tells of its masks; a row that is none is named by its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from lib.datasets.masks_alone import has_masks_alone, masks_alone
from lib.errors import DataSetError
from lib.features.mask_sheet import mask_sheet

ROWS = ("a.jpg,1,1 256", "a.jpg,2,257 64 513 64", "b.jpg,1,1 2560", "c.jpg,3,")


def write(root: Path, rows: tuple[str, ...]) -> Path:
    root.mkdir()
    (root / "train.csv").write_text("\n".join(("ImageId,ClassId,EncodedPixels", *rows)), encoding="utf-8")
    return root


def test_masks_alone_give_classes_sizes_and_meetings(tmp_path: Path) -> None:
    root = write(tmp_path / "table", ROWS)
    assert has_masks_alone(root)
    data_set = masks_alone(root)
    assert data_set.read_mask is not None and data_set.read_mask(0).sum(axis=(1, 2)).tolist() == [256, 128]
    sheet = mask_sheet(data_set)
    assert (sheet.images, sheet.counts) == (2, (("1", 2), ("2", 1)))
    assert sheet.analysis.together == ((2, 1), (1, 1))
    assert [one.defects for one in sheet.analysis.sizes] == [2, 1]
    assert "No class is rare (1 to 2 images); trust miou" in sheet.analysis.conclusions[0]


@pytest.mark.parametrize(
    ("row", "problem"),
    [("a.jpg,1,409600 2", r"train\.csv, line 2.*past the last pixel"), ("a.jpg,900,1 2", "1 to 50 at most")],
)
def test_a_row_that_is_no_mask_is_refused_in_a_sentence(tmp_path: Path, row: str, problem: str) -> None:
    with pytest.raises(DataSetError, match=problem):
        masks_alone(write(tmp_path / "table", (row,)))
