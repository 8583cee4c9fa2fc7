"""Masks → boxes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lib.config import Settings
from lib.datasets import load_data_set
from lib.datasets.annotations import components, write_annotations
from lib.errors import DataSetError
from tests.datasets import made_up


def test_touching_corners_are_one_component_and_boxes_are_tight() -> None:
    masks = np.zeros((2, 6, 8), dtype=bool)
    masks[0, 0, 0] = masks[0, 1, 1] = True
    masks[0, 4:6, 5:8] = True
    masks[1, 2, 2:4] = True
    found = [(c.class_index, c.x, c.y, c.width, c.height, c.area) for c in components(masks)]
    assert found == [(0, 0, 0, 2, 2, 2), (0, 5, 4, 3, 2, 6), (1, 2, 2, 2, 1, 2)]


def test_the_file_is_valid_coco_and_the_same_each_time(tmp_path: Path, settings: Settings) -> None:
    data_set = load_data_set(made_up.masks(tmp_path / "sét", [0, 1, 2, 1] * 3), settings)
    assert write_annotations(data_set, tmp_path / "a.json") == 9
    write_annotations(data_set, tmp_path / "b.json")
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert text == (tmp_path / "b.json").read_text(encoding="utf-8")
    document = json.loads(text)
    assert document["categories"] == [{"id": 1, "name": "kind1"}, {"id": 2, "name": "kind2"}]
    assert len(document["images"]) == 12 and document["images"][0]["height"] == 40
    first = document["annotations"][0]
    assert first["bbox"] == [20, 5, 8, 10] and first["area"] == 80 and first["image_id"] == 2


def test_sets_without_masks_and_places_that_cannot_be_written_are_refused(
    tmp_path: Path, settings: Settings
) -> None:
    labels = load_data_set(made_up.folders(tmp_path / "a", {"x": 4, "y": 4}), settings)
    with pytest.raises(DataSetError, match="has no masks"):
        write_annotations(labels, tmp_path / "a.json")
    masks = load_data_set(made_up.masks(tmp_path / "b", [0, 1] * 4), settings)
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(DataSetError, match="cannot be written"):
        write_annotations(masks, tmp_path / "file" / "a.json")


def test_real_areas_are_those_of_the_rows(realdata: Path, settings: Settings, real_cache: Path) -> None:
    data_set = load_data_set(
        realdata / "severstal_subset", settings.model_copy(update={"cache_dir": real_cache})
    )
    assert data_set.read_mask is not None and data_set.mask_areas is not None
    for i in range(0, len(data_set), 9):
        areas = np.zeros(4, dtype=int)
        for component in components(data_set.read_mask(i)):
            areas[component.class_index] += component.area
        assert areas.tolist() == data_set.mask_areas[i].tolist()
