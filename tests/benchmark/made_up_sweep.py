"""A tiny data set on disk, and requests on it: sweeps without a network that take milliseconds a cell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lib.benchmark.prepare import PreparedSweep, prepared
from lib.benchmark.selection import Request
from lib.benchmark.sweep import Ordering, Sweep, run_sweep
from lib.config import Settings
from lib.zoo.heads import HEADS, Head, TrainingJob, TrainingResult

CLASSES = ("bright", "dark", "striped")


def write_tiny_set(root: Path, images: int = 12, seed: int = 0, side: int = 32) -> Path:
    """Folders layout: three classes that even a histogram tells apart."""
    generator = np.random.default_rng(seed)
    for place, name in enumerate(CLASSES):
        folder = root / "images" / name
        folder.mkdir(parents=True)
        for number in range(images):
            pixels = generator.integers(0, 60, (side, side)) + 90 * place
            if name == "striped":
                pixels[:, ::4] = 255
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{name}_{number:02}.png")
    return root


def request(data_set: Path | str, **values: Any) -> Request:
    """`handcrafted` × linear and naive for two epochs, unless told otherwise."""
    return Request(
        **{
            "data_sets": (str(data_set),),
            "backbones": ("handcrafted",),
            "heads": ("naive", "linear"),
            "epochs": 2,
            **values,
        }
    )


def ready(data_set: Path | str, settings: Settings, **values: Any) -> PreparedSweep:
    """A sweep that only has to be run."""
    return prepared(request(data_set, **values), settings)


def swept(
    sweep: PreparedSweep, settings: Settings, listener: Any = None, ordering: Ordering | None = None
) -> Sweep:
    """What comes of running a prepared sweep."""
    return run_sweep(sweep.plan, sweep.selection.by_fingerprint, settings, listener, ordering)


def add_head(monkeypatch: Any, name: str, train: Any) -> None:
    """Registers a head for one test; `train(job)` is called for each cell."""

    class MadeUpHead(Head):
        def parameters(self, embedding_width: int, n_classes: int) -> int:
            return 0

        def train(self, job: TrainingJob) -> TrainingResult:
            return train(job)

    MadeUpHead.name = name
    monkeypatch.setitem(HEADS._parts, name, MadeUpHead)
