"""Probing: pretrained features only, never the test part, the same sample each time."""

from __future__ import annotations

import numpy as np
import pytest

from lib.config import Settings
from lib.datasets import load_data_set
from lib.features.embeddings import embeddings_of
from lib.zoo import probing
from lib.zoo.backbones import open_backbone
from lib.zoo.probing import probe, sample
from tests.benchmark.made_up_sweep import write_tiny_set


@pytest.fixture
def tiny(tmp_path, settings):
    return load_data_set(write_tiny_set(tmp_path / "tiny"), settings)


def test_the_sample_holds_no_image_of_the_test_part(tiny, monkeypatch):
    assert not set(sample(tiny)) & set(tiny.indices("test"))
    monkeypatch.setattr(probing, "MOST_IMAGES", 9)
    assert len(sample(tiny)) == 9
    assert np.array_equal(sample(tiny), sample(tiny))


def test_images_of_the_test_part_are_not_read(tiny, settings):
    for index in tiny.indices("test"):
        (tiny.root / tiny.files[index]).write_bytes(b"no image")
    assert probe(tiny, settings, ["handcrafted"]).landmarks["handcrafted.linear_probe"] > 0.8


def test_cached_features_of_the_folder_give_the_same_landmarks(tiny, settings):
    fresh = probe(tiny, settings, ["handcrafted"])
    embeddings_of(tiny, open_backbone("handcrafted", settings), settings)
    assert probe(tiny, settings, ["handcrafted"]) == fresh


def test_random_weights_are_never_landmarks(tiny, settings):
    found = probe(tiny, settings.override(weights="random"))
    assert {name.split(".")[0] for name in found.landmarks} == {"handcrafted"}
    assert "mobilenetv2_100" in found.warnings[0]


def test_masks_are_not_probed_and_the_way_out_is_named(tiny, settings):
    from dataclasses import replace

    found = probe(replace(tiny, task="segmentation", labels=None), settings)
    assert not found.landmarks
    assert "@defect" in found.warnings[0]


def test_a_real_network_beats_handcrafted_features_on_real_textures(
    realdata, weights_dir, settings, monkeypatch
):
    monkeypatch.setattr(probing, "MOST_IMAGES", 48)
    chosen: Settings = settings.override(weights_dir=weights_dir.resolve())
    found = probe(load_data_set(realdata / "rsscn7", chosen), chosen).landmarks
    assert found["mobilenetv2_100.linear_probe"] > found["handcrafted.linear_probe"]
    assert found["mobilenetv2_100.logme"] > found["handcrafted.logme"]
