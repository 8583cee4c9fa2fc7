"""Views: same images, another reading."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lib.config import Settings
from lib.datasets import DataSet, load_data_set
from lib.datasets.derived import VIEWS, class_label, dominant, normal_class
from lib.errors import DataSetError
from tests.datasets import made_up


@pytest.fixture
def strips(tmp_path: Path) -> Path:
    return made_up.severstal(tmp_path / "strips", [0, 1, 2, 0, 1, 3] * 6)


@pytest.fixture
def kinds(tmp_path: Path) -> Path:
    return made_up.folders(tmp_path / "kinds", {"crack": 20, "normal": 12, "pit": 30})


@pytest.mark.parametrize("view", [*VIEWS.names(), "train10", "train30"])
def test_every_view_keeps_the_images_and_says_where_it_comes_from(
    view: str, strips: Path, kinds: Path, settings: Settings
) -> None:
    root = kinds if view == "binary" else strips
    original, seen = load_data_set(root, settings), load_data_set(f"{root}@{view}", settings)
    assert (seen.files, seen.images_fingerprint) == (original.files, original.images_fingerprint)
    assert seen.fingerprint != original.fingerprint
    assert (seen.name, seen.parent, seen.derivation) == (f"{original.name}@{view}", original.name, view)
    assert (seen.parts == "test").tolist() == (original.parts == "test").tolist()


def test_defect_reads_empty_masks_as_no_defect(strips: Path, settings: Settings) -> None:
    seen = load_data_set(f"{strips}@defect", settings)
    assert (
        seen.task == "classification" and seen.classes == ("no_defect", "defect") and seen.read_mask is None
    )
    assert seen.labels is not None and seen.labels[:6].tolist() == [0, 1, 1, 0, 1, 1]


def test_dominant_reads_the_class_with_the_largest_area(strips: Path, settings: Settings) -> None:
    seen = load_data_set(f"{strips}@dominant", settings)
    assert seen.classes == ("no_defect", "defect_1", "defect_2", "defect_3")
    assert seen.labels is not None and seen.labels[:6].tolist() == [0, 1, 2, 0, 1, 3]
    assert dominant(np.array([[0, 0], [3, 9], [4, 4]])).tolist() == [0, 2, 1]


def test_dominant_drops_classes_without_an_image(tmp_path: Path, settings: Settings) -> None:
    root = made_up.masks(tmp_path / "set", [1, 3] * 6, n_classes=3)
    seen = load_data_set(f"{root}@dominant", settings)
    assert seen.classes == ("kind1", "kind3") and set(np.asarray(seen.labels)) == {0, 1}


def test_binary_sets_the_normal_class_against_the_rest(kinds: Path, settings: Settings) -> None:
    seen = load_data_set(f"{kinds}@binary", settings)
    assert seen.classes == ("normal", "rest") and seen.class_counts() == (12, 50)


def test_binary_joins_masks_into_one_class(strips: Path, settings: Settings) -> None:
    original, seen = load_data_set(strips, settings), load_data_set(f"{strips}@binary", settings)
    assert (seen.task, seen.classes) == ("segmentation", ("defect",))
    for index in range(6):
        joined = original.read_mask(index).any(axis=0)
        assert (seen.read_mask(index) == joined[None]).all() and seen.mask_areas[index] == joined.sum()
    with pytest.raises(DataSetError, match="needs 2 or more"):
        load_data_set(f"{strips}@binary@binary", settings)


@pytest.mark.parametrize(
    ("classes", "counts", "chosen"),
    [
        (("a", "b", "c"), (3, 9, 5), 1),
        (("scratch", "OK", "dent"), (9, 1, 9), 1),
        (("covid", "no_findings", "pneumonia"), (9, 1, 9), 1),
        (("non_functional", "p0_functional", "abnormal"), (9, 1, 1), 1),
    ],
)
def test_the_normal_class_is_known_by_its_name_else_by_its_size(
    classes: tuple[str, ...], counts: tuple[int, ...], chosen: int
) -> None:
    assert normal_class(classes, counts) == chosen


def _train(data_set: DataSet) -> set[str]:
    return {data_set.files[i] for i in data_set.indices("train")}


def test_a_tenth_of_train_keeps_every_class_and_lies_within_larger_parts(
    kinds: Path, settings: Settings
) -> None:
    whole = load_data_set(kinds, settings)
    tenth, third = (load_data_set(f"{kinds}@train{p}", settings) for p in (10, 33))
    assert _train(tenth) < _train(third) < _train(whole)
    assert set(np.asarray(tenth.labels)[tenth.indices("train")]) == {0, 1, 2}
    assert abs(len(_train(third)) - 0.33 * len(_train(whole))) <= 2
    assert tenth.info().n_train < whole.info().n_train / 9 and (tenth.parts == "unused").any()


def test_views_chain(strips: Path, settings: Settings) -> None:
    seen = load_data_set(f"{strips}@dominant@train30", settings)
    assert (seen.name, seen.parent, seen.derivation) == (
        "strips@dominant@train30",
        "strips",
        "dominant train30",
    )
    assert seen.task == "classification" and (seen.parts == "unused").any()


@pytest.mark.parametrize(
    ("view", "says"),
    [
        ("defect@binary", "@binary needs 3 or more"),
        ("defects", "did you mean defect"),
        ("train0", "unknown view"),
        ("train100", "unknown view"),
        ("", "unknown view"),
    ],
)
def test_a_view_that_does_not_fit_is_refused(view: str, says: str, strips: Path, settings: Settings) -> None:
    with pytest.raises(DataSetError, match=says):
        load_data_set(f"{strips}@{view}", settings)


def test_a_set_where_all_have_a_defect_has_no_defect_view(tmp_path: Path, settings: Settings) -> None:
    root = made_up.masks(tmp_path / "set", [1, 2] * 5)
    with pytest.raises(DataSetError, match="every image has a defect"):
        load_data_set(f"{root}@defect", settings)


def test_bare_numbers_become_names() -> None:
    assert (class_label("3"), class_label("crack")) == ("defect_3", "crack")
