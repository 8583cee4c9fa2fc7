"""Training a backbone together with its head: first the head alone on frozen features, then both at a small learning rate.

Starting from the trained head keeps the first steps from tearing up what the backbone knows (Kumar et al. 2022,
arXiv:2202.10054).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms import v2

from lib.clock import Clock
from lib.zoo.dense import FittedNetwork
from lib.zoo.devices import dtype_of
from lib.zoo.jobs import TrainingJob, TrainingResult
from lib.zoo.metrics import Judge, Probabilities, labels_of
from lib.zoo.preprocessing import Indices, SizedImages, normalised_tensor
from lib.zoo.training import (
    Answers,
    freeze_batch_statistics,
    in_order,
    optimizer_of,
    seeded,
    trained_together,
)

LARGEST_GRADIENT = 1.0
SMALLEST_CROP = 0.8

Fit = Callable[[TrainingJob], FittedNetwork]
"""Trains a head on a job's cached features."""


class TunedPair:
    """A trainable backbone and a head on its standardised features, on one device; `start`: how the head did before."""

    def __init__(self, job: TrainingJob, fit: Fit) -> None:
        """A fresh copy of the backbone with a head that was trained on its frozen features."""
        self.job, self.images = job, SizedImages(job.data_set, job.backbone.input)
        self.backbone = job.backbone.feature_module().to(job.device).requires_grad_(True)
        features = _features(self.backbone, job, self.images)
        recipe = job.recipe.model_copy(update={"finetune": False})
        frozen = fit(replace(job, features=features, recipe=recipe, on_epoch=lambda entry: None))
        statistics = (frozen.scale.mean, frozen.scale.spread)
        self.mean, self.spread = (torch.from_numpy(values).to(job.device) for values in statistics)
        self.head, self.start = frozen.network.requires_grad_(True), frozen.result

    def logits(self, images: Tensor) -> Tensor:
        """uint8 images (n, 3, h, w) → float32 logits (n, n_classes)."""
        return self.head((_forward(self.backbone, self.job, images) - self.mean) / self.spread)

    def loss(self, rows: Indices) -> Tensor:
        """Cross-entropy of lightly augmented images; dropout on."""
        self.head.train()
        freeze_batch_statistics(self.backbone.train())
        augment = augmentation(self.images.spec.height_px, self.images.spec.width_px)
        batch = torch.stack([augment(image) for image in batch_of(self.images, rows)]).to(self.job.device)
        labels = torch.from_numpy(labels_of(self.job.data_set)[rows]).to(self.job.device)
        return F.cross_entropy(self.logits(batch), labels)

    def probabilities(self, rows: Indices) -> Probabilities:
        """Probabilities (n, n_classes) of the images at `rows`."""
        self.backbone.eval()
        self.head.eval()
        with torch.inference_mode():
            batches = [
                self.logits(batch_of(self.images, b)) for b in in_order(rows, self.job.recipe.batch_size)
            ]
            return torch.cat(batches).double().softmax(dim=1).cpu().numpy()

    def answer(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Features (n, width) → probabilities (n, n_classes): the head's share of the latency."""
        with torch.inference_mode():
            inputs = torch.from_numpy(features).to(self.job.device)
            return self.head((inputs - self.mean) / self.spread).softmax(1).cpu().numpy()


def finetuned(job: TrainingJob, fit: Fit) -> TrainingResult:
    """Fine-tunes the whole pair on lightly augmented images; the shared backbone of the job is left as it is.

    The head starts as `fit` chooses it on frozen features; after that nothing is chosen: the pair after the last epoch is the
    result. Raises CvAutomlError when training diverges or an image cannot be read.
    """
    judge, starting = Judge.of(job.data_set), Clock(job.backbone.threads)
    with seeded(job.seed, job.device):
        with starting:
            pair = TunedPair(job, fit)
        order = np.random.default_rng(job.seed)

        def answers() -> Answers:
            probabilities = pair.probabilities(judge.rows)
            return Answers(judge.metrics(probabilities), lambda: judge.final(probabilities))

        result = trained_together(
            job,
            optimizer_of(job.recipe, pair.head, pair.backbone),
            lambda: in_order(order.permutation(job.data_set.indices("train")), job.recipe.batch_size),
            pair.loss,
            answers,
            LARGEST_GRADIENT,
        )
    return replace(
        result,
        parameters=sum(parameter.numel() for parameter in pair.head.parameters()),
        training_s=starting.seconds + result.training_s,
        predict=pair.answer,
        chosen=pair.start.chosen,
        grid=pair.start.grid,
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


def batch_of(images: SizedImages, rows: Indices) -> Tensor:
    """uint8 tensor (n, 3, height_px, width_px) of the files at `rows`."""
    return torch.from_numpy(images.images(rows)).movedim(-1, 1)


def _forward(backbone: nn.Module, job: TrainingJob, images: Tensor) -> Tensor:
    """uint8 images (n, 3, h, w) → float32 features (n, width), in the recipe's precision."""
    inputs = normalised_tensor(images.to(job.device).movedim(1, -1), job.backbone.input)
    precise = job.recipe.precision != "bf16"
    with torch.autocast(job.device.type, dtype_of("bf16"), enabled=not precise):
        features: Tensor = backbone(inputs)
    return features.float()


def _features(backbone: nn.Module, job: TrainingJob, images: SizedImages) -> npt.NDArray[np.float32]:
    """Features (n_files, width) of the untrained copy; zero for unused files."""
    features = np.zeros((len(job.data_set), job.backbone.info.embedding_width), dtype=np.float32)
    used = np.flatnonzero(job.data_set.parts != "unused")
    backbone.eval()
    with torch.inference_mode():
        for rows in in_order(used, job.recipe.batch_size):
            features[rows] = _forward(backbone, job, batch_of(images, rows)).cpu().numpy()
    return features
