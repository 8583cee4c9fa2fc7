"""Training a backbone together with its head: first the head alone on frozen features, then both at a small learning rate.

Starting from the trained head keeps the first steps from tearing up what the backbone knows (Kumar et al. 2022,
arXiv:2202.10054).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lib.clock import Clock
from lib.zoo.augmentation import Augmentation, views_of
from lib.zoo.course import optimizer_of, sampled
from lib.zoo.dense import FittedNetwork
from lib.zoo.devices import dtype_of
from lib.zoo.jobs import Standardisation, TrainingJob, TrainingResult
from lib.zoo.losses import loss_of
from lib.zoo.metrics import Judge, Probabilities, labels_of
from lib.zoo.pair_networks import DensePair
from lib.zoo.preprocessing import Indices, SizedImages, normalised_tensor
from lib.zoo.training import (
    Answers,
    freeze_batch_statistics,
    in_order,
    seeded,
    trained_together,
)

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
        self.labels = labels_of(job.data_set)
        self.class_weights = self._class_weights()
        height, width = job.backbone.input.height_px, job.backbone.input.width_px
        transforms = str(job.recipe.options["transforms"])
        self.augment = Augmentation.of(transforms, height, width, len(job.data_set.classes))

    def _class_weights(self) -> Tensor | None:
        """n_train / (n_classes · images of the class), as scikit-learn's `balanced`; None where every class weighs the same."""
        if self.job.recipe.options["class_weights"] != "balanced":
            return None
        counts = np.bincount(self.labels[self.train_rows], minlength=len(self.job.data_set.classes))
        weights = len(self.train_rows) / (len(counts) * np.maximum(counts, 1))
        return torch.from_numpy(weights).float().to(self.job.device)

    @property
    def train_rows(self) -> Indices:
        """The train part."""
        return self.job.data_set.indices("train")

    def logits(self, images: Tensor) -> Tensor:
        """uint8 images (n, 3, h, w) → float32 logits (n, n_classes)."""
        return self.head((_forward(self.backbone, self.job, images) - self.mean) / self.spread)

    def loss(self, epoch: int, rows: Indices) -> Tensor:
        """The recipe's loss of augmented images; dropout on."""
        self.head.train()
        freeze_batch_statistics(self.backbone.train())
        images, _ = self.augment(batch_of(self.images, rows))
        labels = torch.from_numpy(self.labels[rows])
        images, targets = self.augment.mixed(images, labels)
        loss = loss_of(str(self.job.recipe.options["loss"]), "classes", epoch, self.class_weights)
        return loss(self.logits(images.to(self.job.device)), targets.to(self.job.device))

    def probabilities(self, rows: Indices) -> Probabilities:
        """Probabilities (n, n_classes) of the images at `rows`, means over the views of the recipe's test-time augmentation."""
        self.backbone.eval()
        self.head.eval()
        views = [see for see, _ in views_of(str(self.job.recipe.options["tta"]))]
        with torch.inference_mode():
            batches = [batch_of(self.images, b) for b in in_order(rows, self.job.recipe.batch_size)]
            answers = [
                torch.stack([self.logits(see(batch)).double().softmax(dim=1) for see in views]).mean(dim=0)
                for batch in batches
            ]
            return torch.cat(answers).cpu().numpy()

    def answer(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Features (n, width) → probabilities (n, n_classes): the head's share of the latency."""
        with torch.inference_mode():
            inputs = torch.from_numpy(features).to(self.job.device)
            return self.head((inputs - self.mean) / self.spread).softmax(1).cpu().numpy()

    def network(self) -> nn.Module:
        """The pair as one network."""
        scale = Standardisation(self.mean.cpu().numpy(), self.spread.cpu().numpy())
        return DensePair(self.backbone, self.head, scale, str(self.job.recipe.options["tta"])).eval()


def finetuned(job: TrainingJob, fit: Fit) -> TrainingResult:
    """Fine-tunes the whole pair on augmented images; the shared backbone of the job is left as it is.

    The head starts as `fit` chooses it on frozen features; then the pair is trained as the recipe says. Raises CvAutomlError
    when training diverges or an image cannot be read.
    """
    judge, starting = Judge.of(job.data_set), Clock(job.backbone.threads)
    with seeded(job.seed, job.device):
        with starting:
            pair = TunedPair(job, fit)
        order = np.random.default_rng(job.seed)

        def answers() -> Answers:
            probabilities = pair.probabilities(judge.rows)
            tested = probabilities[judge.is_test]
            return Answers(judge.metrics(probabilities), lambda: judge.final(probabilities), test=tested)

        def batches() -> Iterable[Indices]:
            rows, sampling = pair.train_rows, str(job.recipe.options["sampling"])
            return in_order(sampled(rows, order, sampling, pair.labels[rows]), job.recipe.batch_size)

        result = trained_together(
            job,
            nn.ModuleList([pair.backbone, pair.head]),
            optimizer_of(job.recipe, pair.head, pair.backbone),
            batches,
            pair.loss,
            answers,
        )
    return replace(
        result,
        parameters=sum(parameter.numel() for parameter in pair.head.parameters()),
        training_s=starting.seconds + result.training_s,
        predict=pair.answer,
        network=pair.network,
        chosen=pair.start.chosen,
        grid=pair.start.grid,
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
