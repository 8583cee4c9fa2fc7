"""Every registered head with a hand-made, a convolutional and a transformer backbone: it trains, or names why it cannot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lib.config import SegmentationSettings
from lib.records import RunRecord
from lib.zoo.heads import HEADS
from tests.benchmark.made_up_sweep import ready, swept, write_tiny_set

# timm's own miniature networks, made for tests; their weights are random here, and the records must say so.
BACKBONES = ("handcrafted", "test_resnet", "test_vit")


def write_tiny_masks(root: Path) -> Path:
    """Masks layout: a bright square in every second image."""
    generator = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for number in range(10):
        pixels = generator.integers(0, 80, (64, 64)).astype(np.uint8)
        mask = np.zeros((64, 64), dtype=np.uint8)
        if number % 2:
            pixels[16:48, 16:48] += 150
            mask[16:48, 16:48] = 1
        Image.fromarray(pixels).save(root / "images" / f"{number}.png")
        Image.fromarray(mask).save(root / "masks" / f"{number}.png")
    return root


@pytest.fixture(params=["classification", "segmentation"])
def data_set(request, tmp_path):
    write = write_tiny_set if request.param == "classification" else write_tiny_masks
    return write(tmp_path / "datasets" / request.param)


def test_every_head_and_backbone_trains_or_names_its_incompatibility(data_set, settings):
    small = SegmentationSettings(image_height_px=64, image_width_px=64, batch_size=4)
    settings = settings.override(weights="random", segmentation=small)
    sweep = ready(data_set, settings, backbones=BACKBONES, heads=tuple(HEADS), epochs=1)
    records = swept(sweep, settings).records
    assert len(records) == len(BACKBONES) * len(HEADS.names())
    for record in records:
        assert_fits(record, data_set.name)


def assert_fits(record: RunRecord, task: str) -> None:
    part = HEADS[record.head.name]()
    backbone = record.backbone
    works = task in part.tasks and not (part.needs_network and backbone.family == "handcrafted")
    assert record.status == ("finished" if works else "incompatible"), record.reason
    if works:
        assert 0 <= record.quality() <= 1
        assert record.head.parameters >= 0
        assert ("RANDOM WEIGHTS" in " ".join(record.notes)) == (backbone.name != "handcrafted")
    else:
        assert len(record.reason) > 20


def test_a_network_is_finetuned_in_a_sweep(tmp_path, settings):
    settings = settings.override(weights="random")
    data_set = write_tiny_set(tmp_path / "datasets" / "tiny")
    sweep = ready(data_set, settings, backbones=("test_resnet",), heads=("linear",), epochs=1, finetune=True)
    record = swept(sweep, settings).records[0]
    assert record.status == "finished", record.reason
    assert record.recipe.finetune
    assert record.latency is not None
