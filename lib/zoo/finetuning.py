"""Training a backbone together with its head: first the head alone on frozen features, then both at a small learning rate.

Starting from the trained head keeps the first steps from tearing up what the backbone knows (Kumar et al. 2022,
arXiv:2202.10054).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms import v2

from lib.clock import Clock
from lib.datasets import DataSet
from lib.records import EpochEntry
from lib.zoo.backbones import Backbone
from lib.zoo.dense import FittedNetwork
from lib.zoo.devices import dtype_of
from lib.zoo.jobs import TrainingJob, TrainingResult
from lib.zoo.metrics import Judge, Probabilities, labels_of
from lib.zoo.preprocessing import normalised_tensor, resized
from lib.zoo.training import (
    Indices,
    backbone_rate,
    freeze_batch_statistics,
    seeded,
    shuffled_batches,
    trained_epochs,
)

KEPT_IMAGES_BYTES = 2 * 2**30
LARGEST_GRADIENT = 1.0
SMALLEST_CROP = 0.8


class ResizedImages:
    """Images of a data set at the backbone's input size, uint8; kept in memory as long as they fit into 2 GiB."""

    def __init__(self, data_set: DataSet, backbone: Backbone) -> None:
        self.data_set, self.spec = data_set, backbone.input
        self._room = KEPT_IMAGES_BYTES // (3 * self.spec.height_px * self.spec.width_px)
        self._kept: dict[int, npt.NDArray[np.uint8]] = {}

    def batch(self, rows: Indices) -> Tensor:
        """uint8 tensor (n, 3, height_px, width_px) of the files at `rows`."""
        return torch.from_numpy(np.stack([self._image(int(row)) for row in rows])).movedim(-1, 1)

    def _image(self, row: int) -> npt.NDArray[np.uint8]:
        if row in self._kept:
            return self._kept[row]
        image = resized(self.data_set.read_image(row), self.spec)
        if len(self._kept) < self._room:
            self._kept[row] = image
        return image


Fit = Callable[[TrainingJob], FittedNetwork]
"""Trains a head on a job's cached features."""


@dataclass
class TunedPair:
    """A trainable backbone and a head on its standardised features, on one device; `start`: how the head did before."""

    job: TrainingJob
    images: ResizedImages
    backbone: nn.Module
    mean: Tensor
    spread: Tensor
    head: nn.Sequential
    start: TrainingResult

    @classmethod
    def started(cls, job: TrainingJob, fit: Fit) -> TunedPair:
        """A fresh copy of the backbone with a head that was trained on its frozen features."""
        images = ResizedImages(job.data_set, job.backbone)
        backbone = job.backbone.feature_module().to(job.device).requires_grad_(True)
        features = _features(backbone, job, images)
        recipe = job.recipe.model_copy(update={"finetune": False})
        frozen = fit(replace(job, features=features, recipe=recipe, on_epoch=lambda entry: None))
        mean, spread = (
            torch.from_numpy(values).to(job.device) for values in (frozen.scale.mean, frozen.scale.spread)
        )
        head = frozen.network.requires_grad_(True)
        return cls(job, images, backbone, mean, spread, head, frozen.result)

    def logits(self, images: Tensor) -> Tensor:
        """uint8 images (n, 3, h, w) → float32 logits (n, n_classes)."""
        features = _forward(self.backbone, self.job, images)
        logits: Tensor = self.head((features - self.mean) / self.spread)
        return logits

    def optimizer(self) -> torch.optim.Optimizer:
        """AdamW with the head's learning rate for the head, and the small one for the backbone."""
        recipe = self.job.recipe
        groups: list[dict[str, Any]] = [
            {"params": list(self.head.parameters()), "lr": recipe.learning_rate},
            {"params": list(self.backbone.parameters()), "lr": backbone_rate(recipe)},
        ]
        return torch.optim.AdamW(groups, weight_decay=recipe.weight_decay)

    def loss(self, rows: Indices) -> Tensor:
        """Cross-entropy of lightly augmented images; dropout on."""
        self.head.train()
        freeze_batch_statistics(self.backbone.train())
        augment = augmentation(self.images.spec.height_px, self.images.spec.width_px)
        batch = torch.stack([augment(image) for image in self.images.batch(rows)]).to(self.job.device)
        labels = torch.from_numpy(labels_of(self.job.data_set)[rows]).to(self.job.device)
        return F.cross_entropy(self.logits(batch), labels)

    def probabilities(self, rows: Indices) -> Probabilities:
        """Probabilities (n, n_classes) of the images at `rows`."""
        self.backbone.eval()
        self.head.eval()
        with torch.inference_mode():
            batches = [self.logits(self.images.batch(b)) for b in _split(rows, self.job.recipe.batch_size)]
            return torch.cat(batches).double().softmax(dim=1).cpu().numpy()

    def answer(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Features (n, width) → probabilities (n, n_classes): the head's share of the latency."""
        with torch.inference_mode():
            inputs = torch.from_numpy(features).to(self.job.device)
            scores: npt.NDArray[np.float32] = (
                self.head((inputs - self.mean) / self.spread).softmax(1).cpu().numpy()
            )
            return scores


def finetuned(job: TrainingJob, fit: Fit) -> TrainingResult:
    """Fine-tunes the whole pair on lightly augmented images; the shared backbone of the job is left as it is.

    The head starts as `fit` chooses it on frozen features; after that nothing is chosen: the pair after the last epoch is the
    result. Raises CvAutomlError when training diverges or an image cannot be read.
    """
    threads = job.backbone.threads
    everything, evaluation, judge = Clock(threads), Clock(threads), Judge.of(job.data_set)
    with everything, seeded(job.seed, job.device):
        pair = TunedPair.started(job, fit)
        order = np.random.default_rng(job.seed)
        train, size = job.data_set.indices("train"), job.recipe.batch_size
        entries: list[EpochEntry] = []
        for epoch, loss, rate in trained_epochs(
            pair.optimizer(),
            job.recipe.epochs,
            lambda: shuffled_batches(train, size, order),
            pair.loss,
            LARGEST_GRADIENT,
        ):
            with evaluation:
                probabilities = pair.probabilities(judge.rows)
                entries.append(judge.entry(epoch, probabilities, float(loss), rate))
            job.on_epoch(entries[-1])
    return TrainingResult(
        epochs=tuple(entries),
        validation=entries[-1].validation,
        final=judge.final(probabilities),
        parameters=sum(parameter.numel() for parameter in pair.head.parameters()),
        training_s=everything.seconds - evaluation.seconds,
        evaluation_s=evaluation.seconds,
        predict=pair.answer,
        chosen=pair.start.chosen,
        grid=pair.start.grid,
        batch_size=size,
    )


def augmentation(height_px: int, width_px: int) -> v2.Transform:
    """Light, for any subject: mirrored half of the time, four fifths of the area or more, a little lighter or darker."""
    return v2.Compose(
        [
            v2.RandomHorizontalFlip(),
            v2.RandomResizedCrop((height_px, width_px), scale=(SMALLEST_CROP, 1.0), antialias=True),
            v2.ColorJitter(brightness=0.1, contrast=0.1),
        ]
    )


def _forward(backbone: nn.Module, job: TrainingJob, images: Tensor) -> Tensor:
    """uint8 images (n, 3, h, w) → float32 features (n, width), in the recipe's precision."""
    inputs = normalised_tensor(images.to(job.device).movedim(1, -1), job.backbone.input)
    precise = job.recipe.precision != "bf16"
    with torch.autocast(job.device.type, dtype_of("bf16"), enabled=not precise):
        features: Tensor = backbone(inputs)
    return features.float()


def _features(backbone: nn.Module, job: TrainingJob, images: ResizedImages) -> npt.NDArray[np.float32]:
    """Features (n_files, width) of the untrained copy; zero for unused files."""
    features = np.zeros((len(job.data_set), job.backbone.info.embedding_width), dtype=np.float32)
    used = np.flatnonzero(job.data_set.parts != "unused")
    backbone.eval()
    with torch.inference_mode():
        for rows in _split(used, job.recipe.batch_size):
            features[rows] = _forward(backbone, job, images.batch(rows)).cpu().numpy()
    return features


def _split(rows: Indices, size: int) -> Iterator[Indices]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
