"""The test part is put aside before anything is chosen; a folder that cannot be fitted gets one sentence."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image

from lib.datasets import load_data_set
from lib.errors import DataSetError
from lib.fit.division import divided, with_validation
from tests.benchmark.made_up_sweep import write_tiny_set


@pytest.fixture
def tiny(tmp_path):
    return write_tiny_set(tmp_path / "tiny")


def load(root, settings):
    return load_data_set(root, settings, unlabelled=True)


def test_no_inner_fold_sees_an_image_of_the_test_part(tiny, settings):
    division = divided(load(tiny, settings))
    assert len(division.inner.folds) == 4
    for parts in division.inner.folds:
        assert (parts[division.test] == "unused").all()
    assert "fold 5 of 5" in division.told


def test_over_the_inner_folds_every_other_image_is_tested_once(tiny, settings):
    division = divided(load(tiny, settings))
    tested = sum((parts == "test").astype(int) for parts in division.inner.folds)
    assert (tested[division.final.parts == "train"] == 1).all()
    assert tested[division.test].sum() == 0


def test_everything_but_the_test_part_trains_in_the_end(tiny, settings):
    data_set = load(tiny, settings)
    division = divided(data_set, test_fold=0)
    assert set(division.test) == set(np.flatnonzero(data_set.folds[0] == "test"))
    assert (division.final.parts == "train").sum() == len(data_set) - len(division.test)
    masks = with_validation(division)
    assert (masks.parts == "validation").sum() > 0
    assert set(masks.indices("test")) == set(division.test)


def test_the_sets_own_test_part_is_kept(tiny, settings):
    files = load(tiny, settings).files
    test = [file for i, file in enumerate(files) if i % 4 == 0]
    rows = [f"{file},{'test' if file in test else 'train'}" for file in files]
    (tiny / "splits.csv").write_text("\n".join(["file,split", *rows]))
    division = divided(load(tiny, settings))
    assert [files[i] for i in division.test] == test
    assert "own test part" in division.told
    assert len(division.inner.folds) == 5


def refused(root, settings):
    with pytest.raises(DataSetError) as error:
        divided(load(root, settings))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_one_class_is_refused(tiny, settings):
    for name in ("dark", "striped"):
        shutil.rmtree(tiny / "images" / name)
    assert "nothing to tell apart" in refused(tiny, settings)


def test_two_images_a_class_are_refused(tmp_path, settings):
    assert "too few images" in refused(write_tiny_set(tmp_path / "few", images=2), settings)


def test_images_without_labels_are_refused(tmp_path, settings):
    for i in range(5):
        Image.fromarray(np.full((20, 20, 3), 40 * i, np.uint8)).save(tmp_path / f"{i}.png")
    assert "without labels" in refused(tmp_path, settings)


def test_empty_masks_are_refused(tmp_path, settings):
    for folder in ("images", "masks"):
        (tmp_path / "set" / folder).mkdir(parents=True)
    for i in range(12):
        noise = np.random.default_rng(i).integers(0, 255, (20, 20, 3)).astype(np.uint8)
        Image.fromarray(noise).save(tmp_path / "set" / "images" / f"{i}.png")
        Image.fromarray(np.zeros((20, 20), np.uint8)).save(tmp_path / "set" / "masks" / f"{i}.png")
    refused(tmp_path / "set", settings)


def test_a_broken_image_is_named(tiny, settings):
    (tiny / "images" / "dark" / "dark_00.png").write_bytes(b"no image")
    assert "dark_00.png" in refused(tiny, settings)
