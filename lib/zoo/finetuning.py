"""Training a backbone together with its head: first the head alone on frozen features, then both at a small learning rate.

Starting from the trained head keeps the first steps from tearing up what the backbone knows (Kumar et al. 2022,
arXiv:2202.10054).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms import v2

from lib.datasets import DataSet
from lib.errors import CvAutomlError
from lib.records import EpochEntry
from lib.zoo.backbones import Backbone
from lib.zoo.devices import dtype_of
from lib.zoo.heads.base import TrainingJob, TrainingResult
from lib.zoo.metrics import Probabilities, final_metrics, labels_of, measured_epoch
from lib.zoo.perceptron import seeded, trained_on_features
from lib.zoo.preprocessing import normalised_tensor, resized
from lib.zoo.standardisation import Standardisation

KEPT_IMAGES_BYTES = 2 * 2**30
LARGEST_GRADIENT = 1.0
SMALLEST_CROP = 0.8


class ResizedImages:
    """Images of a data set at the backbone's input size, uint8; kept in memory as long as they fit into 2 GiB."""

    def __init__(self, data_set: DataSet, backbone: Backbone) -> None:
        self.data_set, self.spec = data_set, backbone.input
        self._room = KEPT_IMAGES_BYTES // (3 * self.spec.height_px * self.spec.width_px)
        self._kept: dict[int, npt.NDArray[np.uint8]] = {}

    def batch(self, rows: npt.NDArray[np.int64]) -> Tensor:
        """uint8 tensor (n, 3, height_px, width_px) of the files at `rows`."""
        return torch.from_numpy(np.stack([self._image(int(row)) for row in rows])).movedim(-1, 1)

    def _image(self, row: int) -> npt.NDArray[np.uint8]:
        if row in self._kept:
            return self._kept[row]
        image = resized(self.data_set.read_image(row), self.spec)
        if len(self._kept) < self._room:
            self._kept[row] = image
        return image


@dataclass
class TunedPair:
    """A trainable backbone, the standardisation of its features at the start, and a head, on one device."""

    backbone: nn.Module
    mean: Tensor
    spread: Tensor
    head: nn.Sequential
    job: TrainingJob

    @classmethod
    def started(cls, job: TrainingJob, images: ResizedImages, hidden: tuple[int, ...]) -> TunedPair:
        """A fresh copy of the backbone with a head that was trained on its frozen features."""
        backbone = job.backbone.feature_module().to(job.device).requires_grad_(True)
        features = _features(backbone, job, images)
        frozen = replace(
            job,
            features=features,
            recipe=job.recipe.model_copy(update={"finetune": False}),
            on_epoch=lambda entry: None,
        )
        head = trained_on_features(frozen, hidden).network
        scale = Standardisation.of(features[job.data_set.indices("train")])
        mean, spread = (torch.from_numpy(values).to(job.device) for values in (scale.mean, scale.spread))
        return cls(backbone, mean, spread, head.requires_grad_(True), job)

    def logits(self, images: Tensor) -> Tensor:
        """uint8 images (n, 3, h, w) → float32 logits (n, n_classes)."""
        features = _forward(self.backbone, self.job, images)
        logits: Tensor = self.head((features - self.mean) / self.spread)
        return logits

    def train_mode(self) -> None:
        """Dropout on; batch norms keep the statistics of pretraining, which small batches would only blur."""
        self.head.train()
        self.backbone.train()
        for module in self.backbone.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()

    def answer(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Features (n, width) → probabilities (n, n_classes): the head's share of the latency."""
        with torch.inference_mode():
            inputs = torch.from_numpy(features).to(self.job.device)
            scores: npt.NDArray[np.float32] = (
                self.head((inputs - self.mean) / self.spread).softmax(1).cpu().numpy()
            )
            return scores


def finetuned(job: TrainingJob, hidden: tuple[int, ...]) -> TrainingResult:
    """Fine-tunes the whole pair on lightly augmented images; the shared backbone of the job is left as it is.

    Nothing is chosen on any part: the pair after the last epoch is the result. Raises CvAutomlError when training
    diverges or an image cannot be read.
    """
    started = time.perf_counter()
    images = ResizedImages(job.data_set, job.backbone)
    with seeded(job.seed, job.device):
        pair = TunedPair.started(job, images, hidden)
        epochs, probabilities, evaluation_s = _epochs(job, pair, images)
    return TrainingResult(
        epochs=epochs,
        final=final_metrics(job.data_set, probabilities),
        parameters=sum(parameter.numel() for parameter in pair.head.parameters()),
        training_s=time.perf_counter() - started - evaluation_s,
        evaluation_s=evaluation_s,
        predict=pair.answer,
    )


def _epochs(
    job: TrainingJob, pair: TunedPair, images: ResizedImages
) -> tuple[tuple[EpochEntry, ...], Probabilities, float]:
    recipe = job.recipe
    parameters = [*pair.backbone.parameters(), *pair.head.parameters()]
    rate = float(recipe.options["backbone_learning_rate"])
    optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=recipe.weight_decay)
    steps = recipe.epochs * -(-len(job.data_set.indices("train")) // recipe.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    order = np.random.default_rng(job.seed)
    probabilities = np.full((len(job.data_set), len(job.data_set.classes)), np.nan)
    judged = np.flatnonzero(np.isin(job.data_set.parts, ("validation", "test")))
    entries, evaluation_s = [], 0.0
    for epoch in range(1, recipe.epochs + 1):
        rate = float(schedule.get_last_lr()[0])
        loss = _one_epoch(pair, images, optimizer, schedule, parameters, order)
        began = time.perf_counter()
        probabilities[judged] = _judged_probabilities(pair, images, judged)
        entries.append(measured_epoch(job.data_set, epoch, probabilities, loss, rate))
        evaluation_s += time.perf_counter() - began
        job.on_epoch(entries[-1])
    return tuple(entries), probabilities, evaluation_s


def _one_epoch(
    pair: TunedPair,
    images: ResizedImages,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    parameters: list[nn.Parameter],
    order: np.random.Generator,
) -> float:
    """One pass over the train part in a fresh order; returns the mean loss an image."""
    pair.train_mode()
    job, total = pair.job, 0.0
    augment = augmentation(images.spec.height_px, images.spec.width_px)
    train = order.permutation(job.data_set.indices("train"))
    for rows in _split(train, job.recipe.batch_size):
        batch = torch.stack([augment(image) for image in images.batch(rows)]).to(job.device)
        labels = torch.from_numpy(labels_of(job.data_set)[rows]).to(job.device)
        smoothing = float(job.recipe.options["label_smoothing"])
        loss = F.cross_entropy(pair.logits(batch), labels, label_smoothing=smoothing)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, LARGEST_GRADIENT)
        optimizer.step()
        schedule.step()
        total += float(loss.detach()) * len(rows)
    if not np.isfinite(total):
        raise CvAutomlError("fine-tuning diverged: the loss is not a number; lower finetune.learning_rate")
    return total / len(train)


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


def _judged_probabilities(
    pair: TunedPair, images: ResizedImages, judged: npt.NDArray[np.int64]
) -> Probabilities:
    pair.backbone.eval()
    pair.head.eval()
    with torch.inference_mode():
        batches = [pair.logits(images.batch(rows)) for rows in _split(judged, pair.job.recipe.batch_size)]
        return torch.cat(batches).double().softmax(dim=1).cpu().numpy()


def _split(rows: npt.NDArray[np.int64], size: int) -> Iterator[npt.NDArray[np.int64]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
