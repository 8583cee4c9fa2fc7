"""The describe picture: its data, and that it is drawn for every kind of set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lib.config import Settings
from lib.datasets import load_data_set
from lib.features.fact_sheet import fact_sheet
from lib.reporting.data_sets import draw_data_set, example_rows, statistics
from tests.datasets import made_up


def test_examples_show_each_class_with_its_boxes(tmp_path: Path, settings: Settings) -> None:
    data_set = load_data_set(made_up.masks(tmp_path / "set", [0, 1, 2, 1] * 4), settings)
    rows = example_rows(data_set, 3)
    assert [row.title for row in rows] == ["kind1 (8 images)", "kind2 (4 images)", "no defect (4 images)"]
    for k, row in enumerate(rows[:2]):
        for example in row.examples:
            assert example.masks is not None and example.masks[k].sum() == 80
            assert [(b.class_index, b.x, b.y, b.width, b.height) for b in example.boxes] == [
                (k, 20, 5, 8, 10)
            ]
    assert not any(example.boxes for example in rows[2].examples)


def test_boxes_shrink_with_the_image(tmp_path: Path, settings: Settings) -> None:
    root = made_up.severstal(tmp_path / "set", [0, 0, 0, 0])
    made_up.picture(9, 256, 1600).save(root / "train_images" / "large.jpg")
    with (root / "train.csv").open("a", encoding="utf-8") as table:
        table.write(f"large.jpg,1,{' '.join(f'{256 * x + 1} 256' for x in range(800))}\n")
    (row, *_) = example_rows(load_data_set(root, settings), 2)
    (example,) = row.examples
    height, width, _ = example.image.shape
    assert width < 1600 and abs(example.boxes[0].width - width / 2) <= 1 and example.boxes[0].height == height


@pytest.mark.parametrize("kind", ["folders", "masks", "severstal", "unlabelled"])
def test_every_kind_of_set_is_drawn(kind: str, tmp_path: Path, settings: Settings) -> None:
    root = tmp_path / "$et_1"
    if kind == "folders":
        made_up.folders(root, {"one $\\frac$ [red]": 4, "裂纹": 4, "two": 4})
    elif kind == "masks":
        made_up.masks(root, [0, 1, 2] * 3)
    elif kind == "severstal":
        made_up.severstal(root, [0, 1, 2, 3] * 3)
    else:
        root.mkdir()
        made_up.picture(1).save(root / "a.png")
    data_set = load_data_set(root, settings, unlabelled=True)
    sheet = fact_sheet(data_set, 4)
    draw_data_set(data_set, sheet, tmp_path / "out" / "picture.png")
    with Image.open(tmp_path / "out" / "picture.png") as picture:
        assert picture.width > 1000 and np.asarray(picture.convert("L")).std() > 10
    assert dict(statistics(sheet))["brightness"] == sheet.facts.meta_features["brightness_mean"]


def test_the_sheet_counts_what_is_there(tmp_path: Path, settings: Settings) -> None:
    data_set = load_data_set(made_up.masks(tmp_path / "set", [0, 1, 2, 1] * 4), settings)
    sheet = fact_sheet(data_set, 4)
    assert (sheet.images, sheet.images_without_defect, sheet.sizes) == (16, 4, (("40×48", 16),))
    assert [(c.name, c.images) for c in sheet.classes] == [("kind1", 8), ("kind2", 4)]
    assert sheet.classes[0].area_share_mean == pytest.approx(80 / 1920)
    assert sheet.train + sheet.validation + sheet.test == 16


def test_a_picture_that_cannot_be_written_is_a_sentence(tmp_path: Path, settings: Settings) -> None:
    data_set = load_data_set(made_up.masks(tmp_path / "set", [0, 1] * 4), settings)
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(OSError, match=r"x\.png"):
        draw_data_set(data_set, fact_sheet(data_set, 4), tmp_path / "file" / "x.png")
