"""The analysis of a data set agrees with what was put into it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lib.config import Settings
from lib.datasets import DataSet, load_data_set
from lib.features.analysis import PLACES, analysis_of
from lib.features.augmentation_tests import CHANGES, augmentation_tests
from lib.features.conclusions import conclusions_of
from lib.features.fact_sheet import fact_sheet
from lib.features.meta import look
from tests.datasets import made_up


def written(root: Path, classes: dict[str, list[np.ndarray]], settings: Settings) -> DataSet:  # type: ignore[type-arg]
    for name, images in classes.items():
        folder = root / "images" / name
        folder.mkdir(parents=True)
        for i, image in enumerate(images):
            Image.fromarray(image.astype(np.uint8)).save(folder / f"{name}_{i:03}.png")
    return load_data_set(root, settings)


def leaning(angle: float, seed: int) -> np.ndarray:  # type: ignore[type-arg]
    """64×64 noise with lines that lean by an angle."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:64, :64]
    phase, period = random.uniform(0, 6.3), random.uniform(7, 9)
    wave = np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period + phase)
    return 128 + 50 * wave + random.normal(0, 25, (64, 64))


def verdicts_of(data_set: DataSet) -> dict[str, str]:
    assert data_set.labels is not None
    return {one.name: one.verdict for one in augmentation_tests(data_set, data_set.used, data_set.labels)}


def test_a_flip_that_turns_one_class_into_the_other_is_harmful(tmp_path: Path, settings: Settings) -> None:
    angles = {"rising": 0.6, "falling": -0.6}
    classes = {n: [leaning(a, 100 * k + i) for i in range(40)] for k, (n, a) in enumerate(angles.items())}
    verdicts = verdicts_of(written(tmp_path / "set", classes, settings))
    assert verdicts["left-right flip"] == verdicts["up-down flip"] == "harmful"
    assert verdicts["brightness ±25 %"] == "safe"


def test_changes_of_classes_that_look_alike_from_all_sides_are_safe(
    tmp_path: Path, settings: Settings
) -> None:
    random = np.random.default_rng(0)
    classes = {
        name: [128 + random.normal(0, spread, (64, 64)) for _ in range(60)]
        for name, spread in (("smooth", 4), ("rough", 40))
    }
    verdicts = verdicts_of(written(tmp_path / "set", classes, settings))
    assert {verdicts[n] for n in ("left-right flip", "up-down flip", "quarter turn")} == {"safe"}


def test_nothing_is_called_safe_where_the_classifier_knows_nothing(
    tmp_path: Path, settings: Settings
) -> None:
    random = np.random.default_rng(0)
    classes = {name: [random.normal(128, 30, (32, 32)) for _ in range(30)] for name in ("one", "two")}
    assert "safe" not in verdicts_of(written(tmp_path / "set", classes, settings)).values()


def test_turns_are_not_tried_on_strips_and_nothing_on_a_handful(tmp_path: Path, settings: Settings) -> None:
    random = np.random.default_rng(0)
    classes = {name: [random.normal(128, 30, (16, 64)) for _ in range(22)] for name in ("one", "two")}
    data_set = written(tmp_path / "set", classes, settings)
    assert set(verdicts_of(data_set)) == set(CHANGES) - {"quarter turn"}
    assert data_set.labels is not None
    assert augmentation_tests(data_set, data_set.used[:30], data_set.labels) == ()


def test_light_is_counted_class_by_class(tmp_path: Path, settings: Settings) -> None:
    classes = {"dark": [np.full((8, 8), 51)] * 6, "bright": [np.full((8, 8), v) for v in (102, 204) * 3]}
    classes = {n: [image + np.eye(8) * i for i, image in enumerate(images)] for n, images in classes.items()}
    data_set = written(tmp_path / "set", classes, settings)
    sample = look(data_set, 100, 0)
    analysis = analysis_of(data_set, sample, 0)
    bright, dark = analysis.light
    assert (bright.name, dark.name, dark.images) == ("bright", "dark", 6)
    assert dark.mean == pytest.approx(0.2, abs=0.01) and bright.mean == pytest.approx(0.6, abs=0.01)
    assert bright.spread == pytest.approx(0.2, abs=0.01)
    values = sample.appearance[:, sample.descriptors.index("brightness")]
    groups = [values[data_set.labels[sample.indices] == k] for k in (0, 1)]  # type: ignore[index]
    within = sum(((group - group.mean()) ** 2).sum() for group in groups)
    assert analysis.light_ratio == pytest.approx(1 - within / ((values - values.mean()) ** 2).sum())


def test_sizes_places_and_meetings_of_defects_are_those_of_the_masks(
    tmp_path: Path, settings: Settings
) -> None:
    data_set = load_data_set(made_up.masks(tmp_path / "set", [0, 1, 2, 1] * 4), settings)
    analysis = analysis_of(data_set, look(data_set, 50, 0), 4)
    assert [(one.name, one.defects) for one in analysis.sizes] == [("kind1", 8), ("kind2", 4)]
    assert analysis.sizes[0].median == pytest.approx(80 / 1920)
    assert analysis.together == ((8, 0), (0, 4)) and analysis.masks_looked_at == 12
    places = np.array(analysis.places)
    assert places.shape == (PLACES, PLACES) and places.mean() == pytest.approx(80 / 1920, rel=0.01)
    # the square lies at x 20…28 of 48, y 5…15 of 40
    assert places[2:4, 5:7] == pytest.approx(1, abs=0.01) and places[6:].max() == 0
    assert analysis.conflicts == ()


def test_copies_with_different_labels_are_found(tmp_path: Path, settings: Settings) -> None:
    random = np.random.default_rng(0)
    images = [random.integers(0, 255, (32, 32)) for _ in range(12)]
    classes = {"good": images[:6], "bad": [images[0], *images[6:]]}
    data_set = written(tmp_path / "set", classes, settings)
    analysis = analysis_of(data_set, look(data_set, 50, 0), 2)
    (conflict,) = analysis.conflicts
    assert set(conflict.files) == {"images/bad/bad_000.png", "images/good/good_000.png"}
    assert set(conflict.classes) == {"good", "bad"}
    facts = fact_sheet(data_set, 2).facts
    told = conclusions_of(facts, [("good", 6), ("bad", 6)], (2, 1), analysis)
    assert any("2 images that look alike are labelled differently" in sentence for sentence in told)


def test_conclusions_name_rare_classes_and_the_metric_to_trust(tmp_path: Path, settings: Settings) -> None:
    data_set = load_data_set(made_up.folders(tmp_path / "set", {"many": 30, "few": 4}), settings)
    sheet = fact_sheet(data_set, 4)
    first = sheet.analysis.conclusions[0]
    assert first.startswith("Rare: few (4 images); trust ") and str(sheet.facts.trusted_metric) in first
    even = replace(data_set, labels=np.arange(len(data_set)) % 2)
    assert fact_sheet(even, 4).analysis.conclusions[0].startswith("No class is rare (17 to 17 images)")
