"""Meta-features: right on images whose answer is known, deterministic, torch-free, complete."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.feature_selection import f_classif
from sklearn.model_selection import LeaveOneOut, cross_val_score
from sklearn.neighbors import NearestCentroid
from sklearn.preprocessing import StandardScaler

from lib.config import Settings
from lib.datasets import DataSet, load_data_set, load_images_only
from lib.features.meta import FEATURE_GROUPS, META_FEATURES_VERSION, data_set_facts, look
from lib.records.schema import DataSetFacts
from tests.datasets import made_up


def _images(folder: Path, arrays: list[np.ndarray], settings: Settings) -> dict[str, float]:  # type: ignore[type-arg]
    folder.mkdir()
    for i, array in enumerate(arrays):
        Image.fromarray(array.astype(np.uint8)).save(folder / f"{i:03d}.png")
    return data_set_facts(load_images_only(folder, settings)).meta_features


def test_every_kind_of_set_has_the_meta_features_of_all_groups_but_those_of_masks(
    tmp_path: Path, settings: Settings
) -> None:
    sets = [
        load_data_set(made_up.folders(tmp_path / "a", {"x": 6, "y": 6}), settings),
        load_data_set(made_up.masks(tmp_path / "b", [0, 1, 2] * 4), settings),
        load_data_set(made_up.severstal(tmp_path / "c", [0, 1, 2, 3] * 4), settings),
    ]
    folders, masks, severstal = (set(data_set_facts(data_set).meta_features) for data_set in sets)
    assert len(FEATURE_GROUPS.names()) >= 7
    assert folders < masks == severstal and all("defect" in name for name in masks - folders)


def test_facts_are_a_valid_record_and_the_same_each_time(tmp_path: Path, settings: Settings) -> None:
    data_set = load_data_set(made_up.masks(tmp_path / "set", [0, 1, 2] * 6), settings)
    facts = data_set_facts(data_set, max_images=7, seed=3)
    assert facts == data_set_facts(data_set, max_images=7, seed=3)
    assert facts != data_set_facts(data_set, max_images=7, seed=4)
    assert DataSetFacts.model_validate_json(facts.model_dump_json()) == facts
    assert (facts.name, facts.fingerprint, facts.classes) == ("set", data_set.fingerprint, ("kind1", "kind2"))


def test_a_uniform_grey_image_has_its_brightness_and_nothing_else(tmp_path: Path, settings: Settings) -> None:
    values = _images(tmp_path / "flat", [np.full((40, 60), 51)] * 3, settings)
    assert values["brightness_mean"] == pytest.approx(0.2) and values["grey_share"] == 1.0
    for name in ("contrast", "entropy", "gradient", "edge_density", "sharpness", "saturation", "unevenness"):
        assert values[f"{name}_mean"] == pytest.approx(0.0, abs=1e-6), name
    assert values["glcm_energy_mean"] == 1.0 and values["near_duplicate_share"] == 1.0
    assert (values["height_mean"], values["width_mean"], values["aspect_mean"]) == (40, 60, 1.5)


def test_upright_and_lying_stripes_differ_in_direction_only(tmp_path: Path, settings: Settings) -> None:
    upright = np.tile(np.repeat([0, 200], 8), (96, 6))
    a = _images(tmp_path / "a", [upright], settings)
    b = _images(tmp_path / "b", [upright.T], settings)
    assert a["edge_direction_mean"] == pytest.approx(1) and b["edge_direction_mean"] == pytest.approx(-1)
    assert a["glcm_anisotropy_mean"] > 0.9 and b["glcm_anisotropy_mean"] < -0.9
    assert a["spectrum_anisotropy_mean"] > 0.9 and b["spectrum_anisotropy_mean"] < 0.1
    assert a["contrast_mean"] == pytest.approx(b["contrast_mean"]) == pytest.approx(100 / 255)


def test_white_noise_is_flat_in_frequency_and_smoothing_makes_it_steep(
    tmp_path: Path, settings: Settings
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (150, 150))
    small = np.random.default_rng(1).integers(0, 256, (10, 10)).astype(np.uint8)
    smooth = np.asarray(Image.fromarray(small).resize((150, 150), Image.Resampling.BICUBIC))
    rough, soft = _images(tmp_path / "a", [noise], settings), _images(tmp_path / "b", [smooth], settings)
    assert abs(rough["spectrum_slope_mean"]) < 0.2 and soft["spectrum_slope_mean"] < -2
    assert rough["high_frequency_share_mean"] > 0.5 > 0.05 > soft["high_frequency_share_mean"]
    assert rough["sharpness_mean"] > 10 * soft["sharpness_mean"] and rough["entropy_mean"] > 0.99


def test_colour_is_told_from_grey_saved_as_colour(tmp_path: Path, settings: Settings) -> None:
    grey = np.repeat(np.asarray(made_up.picture(1))[..., None], 3, axis=2)
    red = grey.copy()
    red[..., 1:] = 0
    values = _images(tmp_path / "set", [grey, red], settings)
    assert values["grey_share"] == 0.5 and values["saturation_mean"] == pytest.approx(0.5, abs=0.01)


def test_known_blocks_give_known_defects(tmp_path: Path, settings: Settings) -> None:
    values = data_set_facts(
        load_data_set(made_up.masks(tmp_path / "set", [0, 1] * 20), settings)
    ).meta_features
    assert values["defect_image_share"] == pytest.approx(0.5, abs=0.05)
    assert values["defect_area_share"] == pytest.approx(80 / 1920) == values["defect_size_mean"]
    assert values["defect_count"] == 1.0 and values["defect_elongation"] == pytest.approx(1.25)


def _two_greys(root: Path) -> Path:
    made_up.folders(root, {"dark": 20, "light": 20})
    for file in (root / "images" / "light").iterdir():
        with Image.open(file) as image:
            image.point(lambda v: 155 + v * 100 // 255).save(file)
    for file in (root / "images" / "dark").iterdir():
        with Image.open(file) as image:
            image.point(lambda v: v * 100 // 255).save(file)
    return root


def test_separability_is_high_where_brightness_tells_and_low_where_labels_are_drawn(
    tmp_path: Path, settings: Settings
) -> None:
    data_set = load_data_set(_two_greys(tmp_path / "set"), settings)
    told = data_set_facts(data_set).meta_features
    shuffled = replace(data_set, labels=np.random.default_rng(0).permutation(np.asarray(data_set.labels)))
    drawn = data_set_facts(shuffled).meta_features
    assert told["separability_max"] > 0.9 and told["nearest_mean_accuracy"] > 0.85
    assert drawn["separability_max"] < 0.4 and drawn["nearest_mean_accuracy"] < 0.75


def test_separability_is_scikit_learns(tmp_path: Path, settings: Settings) -> None:
    sample = look(load_data_set(_two_greys(tmp_path / "set"), settings), 33, 0)
    assert sample.labels is not None
    labels = sample.labels[sample.indices]
    standard = StandardScaler().fit_transform(sample.appearance)
    varied = sample.appearance.std(axis=0) > 1e-9
    f, _ = f_classif(standard[:, varied], labels)
    found = FEATURE_GROUPS["separability"](sample)
    assert found["separability_max"] == pytest.approx(float((f / (f + len(labels) - 2)).max()))
    hits = cross_val_score(NearestCentroid(), standard, labels, cv=LeaveOneOut())
    assert found["nearest_mean_accuracy"] == pytest.approx(hits.mean())


def test_facts_hold_the_hash_of_the_folds_and_the_version_and_know_all_labels(
    tmp_path: Path, settings: Settings
) -> None:
    data_set = load_data_set(made_up.masks(tmp_path / "set", [0, 1, 2] * 6), settings)
    facts = data_set_facts(data_set)
    assert facts.split_hash == data_set.info().split_hash != data_set.info("own").split_hash
    assert facts.meta_features_version == META_FEATURES_VERSION
    own_split_changed = replace(data_set, parts=np.roll(data_set.parts, 1))
    assert data_set_facts(own_split_changed) == facts
    assert facts.meta_features["defect_image_share"] == pytest.approx(2 / 3, rel=1e-5)
    assert facts.meta_features["majority_share"] == pytest.approx(1 / 3, rel=1e-5)


def test_images_without_labels_have_facts_too(tmp_path: Path, settings: Settings) -> None:
    made_up.picture(1).save(tmp_path / "a.png")
    facts = data_set_facts(load_images_only(tmp_path, settings))
    assert facts.split_hash and facts.meta_features["n_images"] == 1 and "n_train" not in facts.meta_features


def test_a_tenth_to_train_on_counts_the_images_of_the_mean_fold(tmp_path: Path, settings: Settings) -> None:
    root = made_up.folders(tmp_path / "set", {"a": 30, "b": 30})
    part: DataSet = load_data_set(f"{root}@train10", settings)
    values = data_set_facts(part).meta_features
    whole = data_set_facts(load_data_set(root, settings)).meta_features
    assert values["n_images"] == np.mean([(parts != "unused").sum() for parts in part.folds]) < 60
    assert values["n_train"] == np.mean([(parts == "train").sum() for parts in part.folds])
    assert (whole["n_images"], values["majority_share"]) == (60, 0.5)


def test_one_tiny_image_has_finite_features(tmp_path: Path, settings: Settings) -> None:
    values = _images(tmp_path / "set", [np.array([[7]])], settings)
    assert values["n_images"] == 1 and all(np.isfinite(list(values.values())))


def test_meta_features_are_imported_without_torch_and_scipy() -> None:
    code = (
        "import sys, lib.features.meta, lib.datasets; print('torch' in sys.modules, 'scipy' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["False", "False"]


def test_real_sets_differ_as_one_can_see(realdata: Path, settings: Settings) -> None:
    roads, tiles = (
        data_set_facts(load_data_set(realdata / name, settings), max_images=40).meta_features
        for name in ("epfl_roads", "kolektor_sdd")
    )
    assert roads["grey_share"] == 0 and tiles["grey_share"] == 1
    assert roads["edge_density_mean"] > tiles["edge_density_mean"]
    assert roads["defect_area_share"] > 10 * tiles["defect_area_share"]
