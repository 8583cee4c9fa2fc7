"""A generator learns from a data set's training images and nothing else; kept after each epoch, it goes on where it stopped."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from lib.clock import Clock
from lib.config import Settings
from lib.datasets.base import DataSet
from lib.errors import CvAutomlError
from lib.files import short_hash, write_atomically
from lib.zoo.base import InputSpec
from lib.zoo.devices import choose_device, set_threads
from lib.zoo.generator.models import Generator, build_generator
from lib.zoo.preprocessing import Indices, SizedImages
from lib.zoo.training import in_order, seeded

AVERAGED = 0.995
FACTS = "facts"
DRAWN_AT_ONCE = 64
Pictures = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Lesson:
    """What a generator is trained on and how; `data_set` has the parts of the one fold whose train part is used."""

    data_set: DataSet
    kind: str
    settings: Settings
    epochs: int
    seed: int = 0

    @property
    def rows(self) -> Indices:
        """The training images."""
        return self.data_set.indices("train")

    @property
    def identity(self) -> str:
        """Hash of what decides the result, the number of epochs apart: more epochs go on from fewer."""
        chosen = self.settings.generator.model_dump_json()
        parts = (self.data_set.fingerprint, self.data_set.split_hash, self.kind, chosen, str(self.seed))
        return short_hash("\n".join(parts))

    @property
    def file(self) -> Path:
        """Where the model is kept, between epochs and afterwards."""
        return self.settings.tuned_dir / f"{self.data_set.name}+{self.kind}.generator.safetensors"


@dataclass
class Trained:
    """A generator with the moving average of its weights, its mean loss an epoch, and the processor's seconds spent."""

    model: Generator
    average: Generator
    channels: int
    curve: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def draw(self, labels: npt.NDArray[np.int64], seed: int = 0) -> Pictures:
        """uint8 images (n, size, size, 3), one a label; the same for the same seed."""
        device = next(self.average.parameters()).device
        drawn = []
        with seeded(seed, device), torch.no_grad():
            for some in in_order(labels, DRAWN_AT_ONCE):
                images = self.average.sample(torch.from_numpy(some).to(device))
                drawn.append(((images + 1) * 127.5).round().to(torch.uint8).cpu())
        values = torch.cat(drawn).movedim(1, -1).numpy()
        return np.ascontiguousarray(np.broadcast_to(values, (*values.shape[:3], 3)))


def reduced(data_set: DataSet, rows: Indices, size_px: int) -> Pictures:
    """uint8 images (n, size_px, size_px, 3), resized whole."""
    spec = InputSpec(size_px, size_px, (0.5,) * 3, (0.5,) * 3, "bilinear", 1.0)
    return SizedImages(data_set, spec).images(rows)


def train_generator(
    lesson: Lesson, on_epoch: Callable[[int, float], None] = lambda epoch, loss: None
) -> Trained:
    """Trains what is left of the epochs. Raises CvAutomlError for a set without labels or training images, and where the loss is
    no number."""
    data_set, chosen = lesson.data_set, lesson.settings.generator
    if data_set.labels is None or len(lesson.rows) < 2:
        raise CvAutomlError(
            f"{data_set.name}: a generator needs labelled training images; read masks as classes with @dominant"
        )
    set_threads(lesson.settings.threads)
    device = choose_device(lesson.settings.device)
    images = reduced(data_set, lesson.rows, chosen.size_px)
    grey = bool((images == images[..., :1]).all())
    tensor = torch.from_numpy(images[..., :1] if grey else images).movedim(-1, 1).float() / 127.5 - 1
    labels = torch.from_numpy(data_set.labels[lesson.rows])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(lesson.seed)
        model = build_generator(lesson.kind, tensor.shape[1], chosen.size_px, len(data_set.classes)).to(
            device
        )
    trained = Trained(model, copy.deepcopy(model).requires_grad_(False), tensor.shape[1])
    optimizer = torch.optim.AdamW(model.parameters(), lr=chosen.learning_rate)
    _load(trained, optimizer, lesson)
    while len(trained.curve) < lesson.epochs:
        epoch = len(trained.curve) + 1
        with Clock() as clock, seeded(lesson.seed * 100_003 + epoch, device):
            loss = _epoch(trained, optimizer, tensor.to(device), labels.to(device), chosen.batch_size)
        if not np.isfinite(loss):
            raise CvAutomlError(f"the generator diverged in epoch {epoch}: lower generator.learning_rate")
        trained.curve.append(loss)
        trained.seconds += clock.seconds
        _save(trained, optimizer, lesson)
        on_epoch(epoch, loss)
    return trained


def _epoch(
    trained: Trained, optimizer: torch.optim.Optimizer, images: Tensor, labels: Tensor, batch_size: int
) -> float:
    losses: list[float] = []
    before = len(trained.curve) * -(-len(images) // batch_size)
    for rows in in_order(torch.randperm(len(images)).numpy(), batch_size):
        chosen = images[rows]
        mirrored = torch.rand(len(chosen), device=chosen.device) < 0.5
        chosen = torch.where(mirrored[:, None, None, None], chosen.flip(-1), chosen)
        loss = trained.model.loss(chosen, labels[rows])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(trained.model.parameters(), 1.0)
        optimizer.step()
        step = before + len(losses)
        with torch.no_grad():
            for mine, averaged in zip(trained.model.parameters(), trained.average.parameters(), strict=True):
                averaged.lerp_(mine, 1 - min(AVERAGED, (1 + step) / (10 + step)))
        losses.append(float(loss.detach()))
    return float(np.mean(losses))


def _save(trained: Trained, optimizer: torch.optim.Optimizer, lesson: Lesson) -> None:
    tensors = {f"average.{name}": value for name, value in trained.average.state_dict().items()}
    for name, value in trained.model.named_parameters():
        tensors[f"model.{name}"] = value.detach()
        tensors |= {f"{key}.{name}": optimizer.state[value][key] for key in ("exp_avg", "exp_avg_sq", "step")}
    facts = {"identity": lesson.identity, "curve": trained.curve, "seconds": trained.seconds}
    tensors = {name: value.contiguous().cpu() for name, value in tensors.items()}
    write_atomically(lesson.file, save(tensors, metadata={FACTS: json.dumps(facts)}))


def _load(trained: Trained, optimizer: torch.optim.Optimizer, lesson: Lesson) -> None:
    """Goes on from what was kept of the same lesson; what was trained for longer is not cut short."""
    try:
        with safe_open(lesson.file, framework="pt") as file:
            facts: dict[str, Any] = json.loads(file.metadata()[FACTS])
    except Exception:  # none there, torn or foreign: safetensors raises its own, json and dict theirs
        return
    if facts.get("identity") != lesson.identity:
        return
    tensors = load_file(lesson.file)
    trained.curve, trained.seconds = list(facts["curve"]), float(facts["seconds"])
    averages = {n.removeprefix("average."): t for n, t in tensors.items() if n.startswith("average.")}
    trained.average.load_state_dict(averages)
    with torch.no_grad():
        for name, value in trained.model.named_parameters():
            value.copy_(tensors[f"model.{name}"])
            kept = {key: tensors[f"{key}.{name}"].to(value.device) for key in ("exp_avg", "exp_avg_sq")}
            optimizer.state[value] = {**kept, "step": tensors[f"step.{name}"]}


def lesson_of(data_set: DataSet, kind: str, settings: Settings, epochs: int, seed: int = 0) -> Lesson:
    """A lesson on the train part of the first fold."""
    return Lesson(replace(data_set.fold("folds", 0), name=data_set.name), kind, settings, epochs, seed)
