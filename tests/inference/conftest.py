"""Kept models of tiny sets: trained once a session, on networks with random weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lib.config import Settings, load_settings
from lib.datasets.images import read_rgb
from lib.inference.models import KeptModel, load_model
from lib.records import RunRecord
from lib.zoo.preprocessing import resized
from tests.benchmark.made_up_sweep import ready, swept, write_tiny_set

NETWORK = "test_resnet"


@dataclass(frozen=True)
class Kept:
    """A run whose model was kept."""

    settings: Settings
    data_set: Path
    record: RunRecord

    @property
    def key(self) -> str:
        return self.record.key

    def load(self) -> KeptModel:
        return load_model(self.key, self.settings)

    def drawing(self) -> KeptModel:
        """With thresholds that a fifth of the pixels reach: two epochs teach no masks worth looking at."""
        model = self.load()
        paths = sorted((self.data_set / "images").iterdir())[:4]
        images = np.stack([resized(read_rgb(path), model.card.input) for path in paths])
        highest = np.quantile(model.probabilities(images), 0.8, axis=(0, 2, 3))
        names = model.card.classes
        chosen = {f"threshold:{name}": float(p) for name, p in zip(names, highest, strict=True)}
        return replace(model, card=model.card.model_copy(update={"chosen": chosen}))


def keeping(folder: Path, **segmentation: int | str) -> Settings:
    """Settings that keep models, every folder inside `folder`."""
    settings = load_settings(environment={})
    return settings.model_copy(
        update={
            **{f"{name}_dir": folder / name for name in ("runs", "out", "datasets", "cache", "models")},
            "weights": "random",
            "device": "cpu",
            "precision": "fp32",
            "keep_models": True,
            "segmentation": settings.segmentation.model_copy(update=segmentation),
        }
    )


@contextmanager
def without_latency() -> Iterator[None]:
    """No latency is measured: it takes seconds, and nothing here depends on it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lib.benchmark.cell_run._latency", lambda *_: None)
        yield


def run_kept(
    settings: Settings, data_set: Path, head: str, network: str = NETWORK, **request: object
) -> Kept:
    """Runs one pair for two epochs on one fold and keeps it."""
    sweep = ready(data_set, settings, backbones=(network,), heads=(head,), folds=1, **request)
    with without_latency():
        records = swept(sweep, settings).records
    record = records[0] if records else sweep.plan.cells[0].record
    assert record
    assert record.status == "finished", record.reason
    return Kept(settings, data_set, record)


def write_squares(root: Path, images: int = 20) -> Path:
    """Grey images of 40 × 56 pixels: in half of them a bright square, or a dark one that overlaps it."""
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    generator = np.random.default_rng(0)
    for i in range(images):
        image, mask = generator.integers(100, 140, (40, 56)), np.zeros((40, 56), np.uint8)
        if i % 2:
            y, x = (3 * i) % 20, (5 * i) % 30
            mask[y : y + 16, x : x + 20] = 1 + i % 4 // 2
            image[mask == 1], image[mask == 2] = 250, 5
        Image.fromarray(image.astype(np.uint8)).save(root / "images" / f"{i:02}.png")
        Image.fromarray(mask).save(root / "masks" / f"{i:02}.png")
    return root


@pytest.fixture(scope="session")
def kept_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(autouse=True)
def untimed() -> Iterator[None]:
    """Of this folder's tests alone."""
    with without_latency():
        yield


@pytest.fixture(scope="session")
def class_run(kept_folder: Path) -> Kept:
    """`linear` on three classes that even a histogram tells apart."""
    return run_kept(keeping(kept_folder), write_tiny_set(kept_folder / "tiny"), "linear")


@pytest.fixture(scope="session")
def mask_run(kept_folder: Path) -> Kept:
    """`deeplabv3plus` on bright and dark squares."""
    settings = keeping(kept_folder, image_height_px=32, image_width_px=64)
    return run_kept(settings, write_squares(kept_folder / "squares"), "deeplabv3plus")


@pytest.fixture(scope="session")
def window_run(kept_folder: Path, mask_run: Kept) -> Kept:
    """`linear_mask` on windows of the same squares at full resolution."""
    settings = keeping(kept_folder, image_height_px=32, image_width_px=32, input="tiles")
    return run_kept(settings, mask_run.data_set, "linear_mask")


@pytest.fixture(scope="session")
def cascade_run(mask_run: Kept) -> Kept:
    """Gate, classifier and segmenter together."""
    return run_kept(mask_run.settings, mask_run.data_set, "cascade")
