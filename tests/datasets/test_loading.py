"""Paths and names → data sets: every layout loads with and without a card, views apart; faults are sentences."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lib.config import Settings
from lib.datasets import load_data_set, load_images_only
from lib.datasets.layouts import LAYOUTS
from lib.errors import DataSetError
from tests.datasets import made_up

MAKE = {
    "folders": lambda root, with_card: made_up.folders(root, {"a": 8, "b": 8}, with_card=with_card),
    "masks": lambda root, with_card: made_up.masks(root, [0, 1, 2, 1] * 4, with_card=with_card),
    "severstal": lambda root, with_card: made_up.severstal(root, [0, 1, 2, 3] * 4, with_card=with_card),
}


@pytest.mark.parametrize("with_card", [True, False])
@pytest.mark.parametrize("layout", LAYOUTS.names())
def test_every_layout_loads(layout: str, with_card: bool, tmp_path: Path, settings: Settings) -> None:
    data_set = load_data_set(MAKE[layout](tmp_path / "set", with_card), settings)
    assert len(data_set) == 16 and list(data_set.files) == sorted(data_set.files)
    assert data_set.card.domain == ("industrial" if with_card else "unknown")
    assert data_set.task == LAYOUTS[layout].task and "background" not in data_set.classes
    own = data_set.info("own")
    assert own.n_train + own.n_validation + own.n_test == 16 == data_set.info().n_test
    for i in range(len(data_set)):
        height, width, _ = data_set.read_image(i).shape
        if data_set.read_mask is not None:
            mask = data_set.read_mask(i)
            assert mask.dtype == bool and mask.shape == (len(data_set.classes), height, width)
            assert data_set.mask_areas is not None
            assert mask.sum(axis=(1, 2)).tolist() == data_set.mask_areas[i].tolist()


def test_a_mask_is_read_where_it_was_drawn(tmp_path: Path, settings: Settings) -> None:
    for make in (made_up.masks, made_up.severstal):
        data_set = load_data_set(make(tmp_path / make.__name__, [0, 1, 2, 1] * 3), settings)
        assert data_set.read_mask is not None
        rows, columns = np.nonzero(data_set.read_mask(2)[1])
        assert (rows.min(), rows.max(), columns.min(), columns.max()) == (5, 14, 20, 27)
        assert not data_set.read_mask(0).any()


def test_a_name_is_looked_up_in_the_datasets_folder(settings: Settings) -> None:
    made_up.folders(settings.datasets_dir / "small", {"a": 4, "b": 4})
    assert load_data_set("small", settings).name == "small"
    assert load_data_set("small@train50", settings).name == "small@train50"


def test_a_folder_whose_name_holds_the_view_mark_is_found(tmp_path: Path, settings: Settings) -> None:
    root = made_up.folders(tmp_path / "me@home", {"a": 4, "b": 4, "c": 4}, with_card=False)
    assert load_data_set(root, settings).name == "me_home"
    assert load_data_set(f"{root}@binary", settings).name == "me_home@binary"


def test_kaggles_first_table_format_and_overlapping_classes_are_read(
    tmp_path: Path, settings: Settings
) -> None:
    root = made_up.severstal(tmp_path / "set", [0] * 8)
    lines = ["ImageId_ClassId,EncodedPixels", "000.jpg_1,1 5", "000.jpg_2,3 4", "000.jpg_3,", "001.jpg_1,"]
    (root / "train.csv").write_text("\n".join(lines), encoding="utf-8")
    data_set = load_data_set(root, settings)
    assert data_set.mask_areas is not None and data_set.mask_areas[0].tolist() == [5, 4, 0]
    assert data_set.read_mask is not None and (data_set.read_mask(0)[:2].all(axis=0)).sum() == 3


def test_folders_named_for_parts_declare_the_split(tmp_path: Path, settings: Settings) -> None:
    for part, n in (("train", 6), ("Val", 2), ("test", 3)):
        for k, name in enumerate(("a", "b")):
            (tmp_path / "set" / part / name).mkdir(parents=True)
            for i in range(n):
                made_up.picture(100 * n + 50 * k + i).save(tmp_path / "set" / part / name / f"{i}.png")
    data_set = load_data_set(tmp_path / "set", settings)
    assert data_set.classes == ("a", "b") and data_set.class_counts() == (11, 11)
    assert [len(data_set.indices(part)) for part in ("train", "validation", "test")] == [12, 4, 6]
    assert all(("test/" in f) == (p == "test") for f, p in zip(data_set.files, data_set.parts, strict=True))


def test_white_masks_of_a_single_class_count_as_that_class(tmp_path: Path, settings: Settings) -> None:
    root = made_up.masks(tmp_path / "set", [0, 255] * 5, with_card=False)
    data_set = load_data_set(root, settings)
    assert data_set.classes == ("class_1",) and data_set.class_counts() == (5,)


def test_loading_again_reads_no_image(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = made_up.masks(tmp_path / "set", [0, 1] * 5)
    first = load_data_set(root, settings)
    monkeypatch.setattr(Image, "open", lambda *a, **k: pytest.fail("an image was opened"))
    second = load_data_set(root, settings)
    assert (second.fingerprint, second.split_hash) == (first.fingerprint, first.split_hash)


def test_a_changed_image_changes_the_fingerprints_and_a_broken_cache_is_made_anew(
    tmp_path: Path, settings: Settings
) -> None:
    root = made_up.masks(tmp_path / "set", [0, 1] * 5)
    before = load_data_set(root, settings)
    for cache in settings.cache_dir.rglob("*.json"):
        cache.write_text('{"images/000.png": 3', encoding="utf-8")
    assert load_data_set(root, settings).fingerprint == before.fingerprint
    made_up.picture(999).save(root / "images" / "003.png")
    after = load_data_set(root, settings)
    assert after.images_fingerprint != before.images_fingerprint and after.fingerprint != before.fingerprint


def test_fingerprints_do_not_depend_on_the_place_but_on_the_masks(tmp_path: Path, settings: Settings) -> None:
    root = made_up.masks(tmp_path / "one", [0, 1] * 5)
    shutil.copytree(root, tmp_path / "two")
    one, two = load_data_set(root, settings), load_data_set(tmp_path / "two", settings)
    assert (one.fingerprint, one.images_fingerprint) == (two.fingerprint, two.images_fingerprint)
    Image.fromarray(np.full((40, 48), 2, dtype=np.uint8)).save(tmp_path / "two" / "masks" / "000.png")
    changed = load_data_set(tmp_path / "two", settings)
    assert changed.images_fingerprint == one.images_fingerprint and changed.fingerprint != one.fingerprint


def test_a_cache_that_cannot_be_written_does_no_harm(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be", encoding="utf-8")
    assert len(load_data_set(made_up.masks(tmp_path / "set", [0, 1] * 5), settings)) == 10


def test_images_without_labels_are_loaded_when_asked_for(tmp_path: Path, settings: Settings) -> None:
    for i in range(3):
        made_up.picture(i).save(tmp_path / f"ünï {i}.png")
    only = load_images_only(tmp_path, settings)
    assert (only.classes, only.labels, only.class_counts()) == ((), None, ())
    assert load_data_set(tmp_path, settings, unlabelled=True).files == only.files
    with pytest.raises(DataSetError, match="it holds images without labels; expected images/<class>"):
        load_data_set(tmp_path, settings)


def _broken_image(root: Path) -> None:
    (root / "images" / "003.png").write_bytes(b"no image")


def _no_mask(root: Path) -> None:
    (root / "masks" / "003.png").unlink()


def _other_size(root: Path) -> None:
    Image.fromarray(np.zeros((9, 9), dtype=np.uint8)).save(root / "masks" / "003.png")


def _other_value(root: Path) -> None:
    Image.fromarray(np.full((40, 48), 7, dtype=np.uint8)).save(root / "masks" / "003.png")


def _bad_task(root: Path) -> None:
    made_up.card(root, name="x", task="classification", layout="masks", classes=["background", "a", "b"])


def _bad_yaml(root: Path) -> None:
    (root / "dataset.yaml").write_text("name: [", encoding="utf-8")


def _bad_group(root: Path) -> None:
    made_up.card(root, name="x", layout="masks", classes=["background", "a", "b"], group="(")


def _bad_layout(root: Path) -> None:
    made_up.card(root, name="x", layout="mask", classes=["background", "a"])


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (_broken_image, r"images/003\.png: not a readable image"),
        (_no_mask, r"masks/003\.png: there is no such mask"),
        (_other_size, r"masks/003\.png: the mask is 9×9 but its image is 40×48"),
        (_other_value, r"masks/003\.png: holds the value 7"),
        (_bad_task, r"dataset\.yaml: layout masks holds segmentation, not classification"),
        (_bad_yaml, r"dataset\.yaml: not valid YAML"),
        (_bad_group, r"dataset\.yaml: group '\('"),
        (_bad_layout, r"unknown layout 'mask': did you mean masks"),
    ],
)
def test_a_fault_is_one_sentence_with_the_file(harm, says: str, tmp_path: Path, settings: Settings) -> None:  # type: ignore[no-untyped-def]
    root = made_up.masks(tmp_path / "set", [0, 1, 2, 1] * 3)
    harm(root)
    with pytest.raises(DataSetError, match=says):
        load_data_set(root, settings)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("001.jpg,4,1 2", r"line 3: ClassId '4' is not one of 1…3"),
        ("001.jpg,x,1 2", r"line 3: ClassId 'x'"),
        ("001.jpg,1,1 2 3", r"line 3 \(001\.jpg, class 1\): RLE has 3 numbers"),
        ("001.jpg,1,1920 2", r"line 3 .* goes past the last pixel \(1920 in 40×48\)"),
        ("000.jpg,1,1 2\n000.jpg,1,2 2", r"line 3 and 4 .* overlaps"),
    ],
)
def test_a_wrong_row_of_train_csv_is_named_with_its_line(
    row: str, says: str, tmp_path: Path, settings: Settings
) -> None:
    root = made_up.severstal(tmp_path / "set", [0, 0, 2, 0, 0, 0])
    with (root / "train.csv").open("a", encoding="utf-8") as table:
        table.write(row + "\n")
    with pytest.raises(DataSetError, match=says):
        load_data_set(root, settings)


def test_a_folder_of_a_class_the_card_does_not_name_is_refused(tmp_path: Path, settings: Settings) -> None:
    root = made_up.folders(tmp_path / "set", {"a": 4, "b": 4, "c": 4})
    made_up.card(root, name="set", layout="folders", classes=["a", "b"])
    with pytest.raises(DataSetError, match="the card's classes do not name 'c'"):
        load_data_set(root, settings)


def test_a_set_that_does_not_exist_or_is_empty_is_said_so(tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(DataSetError, match="there is no data set"):
        load_data_set(tmp_path / "nowhere", settings)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataSetError, match="it holds no images"):
        load_data_set(tmp_path / "empty", settings)
    with pytest.raises(DataSetError, match="no images in this folder"):
        load_images_only(tmp_path / "empty", settings)


REAL = [
    "busi_ultrasound",
    "covid_xray",
    "crackforest",
    "deeppcb",
    "drive_retina",
    "elpv_solar",
    "epfl_roads",
    "kolektor_sdd",
    "magnetic_tile",
    "neu_cls",
    "neu_seg",
    "rsscn7",
    "severstal_subset",
    "x_sdd",
]
COUNTS = {"severstal_subset": (25, 23, 38, 17), "busi_ultrasound": (437, 209), "kolektor_sdd": (50,)}


@pytest.mark.parametrize("name", REAL)
def test_every_real_data_set_loads(name: str, realdata: Path, settings: Settings, real_cache: Path) -> None:
    data_set = load_data_set(realdata / name, settings.model_copy(update={"cache_dir": real_cache}))
    info = data_set.info("own")
    assert info.name == name and min(info.n_train, info.n_validation, info.n_test) > 0
    assert min(info.class_counts) > 0 and info.class_counts == COUNTS.get(name, info.class_counts)
    labels = data_set.labels
    if labels is not None:
        assert set(labels[data_set.indices("train")]) == set(labels[data_set.indices("test")])


def test_real_rows_without_their_images_get_a_sentence(realdata: Path, settings: Settings) -> None:
    with pytest.raises(DataSetError, match=r"there is a train\.csv but no folder train_images"):
        load_data_set(realdata / "severstal_rle", settings)
