"""Upscaling: fixed rules are Pillow's, the learned one beats them on what it is made for and sees training images alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from lib.datasets import DataSet, load_data_set
from lib.errors import CvAutomlError
from lib.zoo import upscaling
from lib.zoo.upscaling import NAMES, build_network, doubled, enlarged, fixed, psnr, upscaler


@pytest.fixture
def striped(settings, tmp_path, monkeypatch):
    """Sharp stripes, which a bicubic rule blurs; a short training."""
    monkeypatch.setattr(upscaling, "STEPS", 60)
    root = tmp_path / "datasets" / "striped"
    generator = np.random.default_rng(0)
    for kind in ("one", "two"):
        (root / "images" / kind).mkdir(parents=True)
        for i in range(10):
            edges = np.cumsum(generator.integers(2, 9, 40))
            line = (np.searchsorted(edges, np.arange(64), side="right") % 2 * 180 + 30).astype(np.uint8)
            stripes = np.tile(line, (64, 1))
            Image.fromarray(stripes.T if kind == "two" else stripes).save(root / "images" / kind / f"{i}.png")
    return load_data_set(root, settings).fold("folds", 0)


def test_the_learned_one_restores_better_than_the_bicubic_rule_and_is_kept(striped, settings, monkeypatch):
    read = []
    original = DataSet.read_image
    monkeypatch.setattr(DataSet, "read_image", lambda self, i: (read.append(i), original(self, i))[1])
    learned = upscaler("learned", striped, settings)
    assert learned.psnr > learned.psnr_bicubic + 0.3
    assert not set(read) & set(striped.indices("test").tolist())
    monkeypatch.setattr(upscaling, "_train", lambda *given: pytest.fail("trained again"))
    again = upscaler("learned", striped, settings)
    image = striped.read_image(0)
    assert again.key == learned.key
    assert np.array_equal(again(image, 100, 90), learned(image, 100, 90))
    assert again(image, 100, 90).shape == (100, 90, 3)


def test_other_training_images_have_another_key(striped, settings, monkeypatch):
    monkeypatch.setattr(upscaling, "_train", lambda *given: None)
    other = load_data_set(striped.root, settings).fold("folds", 1)
    assert upscaler("learned", striped, settings).key != upscaler("learned", other, settings).key


def test_an_untrained_network_is_the_bicubic_rule():
    image = np.random.default_rng(1).integers(0, 256, (20, 24, 3)).astype(np.uint8)
    network = build_network()
    assert np.array_equal(doubled(network, image), fixed(image, 40, 48))
    assert enlarged(network, image, 10, 12).shape == (10, 12, 3)
    assert np.array_equal(enlarged(network, image, 10, 12), fixed(image, 10, 12))


def test_rules_are_those_of_torch_too():
    image = np.random.default_rng(1).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    tensor = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float()
    expected = functional.interpolate(tensor, (32, 32), mode="bilinear", antialias=True)[0].permute(1, 2, 0)
    assert np.abs(fixed(image, 32, 32, "bilinear") - expected.numpy()).max() <= 1


def test_psnr_is_that_of_its_formula():
    truth = np.zeros((4, 4, 3), np.uint8)
    assert psnr(truth, truth) == float("inf")
    assert psnr(truth + np.uint8(5), truth) == pytest.approx(20 * np.log10(255 / 5))


def test_names_are_checked(striped, settings):
    assert all(upscaler(name, striped, settings).key == name for name in NAMES[:3])
    with pytest.raises(CvAutomlError, match="bicubic"):
        upscaler("bicubik", striped, settings)
