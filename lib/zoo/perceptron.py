"""Dense networks on cached features: the whole feature matrix lies on the device, so an epoch is a few matrix products."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
import torch._dynamo  # the optimiser imports it at its first step: seconds that would pass for training
from torch import Tensor, nn
from torch.nn import functional as F

from lib.errors import CvAutomlError
from lib.records import EpochEntry
from lib.zoo.heads.base import TrainingJob, TrainingResult
from lib.zoo.metrics import Probabilities, final_metrics, labels_of, measured_epoch
from lib.zoo.standardisation import Floats, Standardisation, features_of

FEWEST_STEPS_AN_EPOCH = 8
SMALLEST_BATCH = 4

Objective = Callable[[Tensor, Tensor], Tensor]
"""Logits (batch, n_classes) and the rows of the data set they belong to (batch,) → mean loss, a scalar."""


def dense_network(width: int, hidden: tuple[int, ...], n_classes: int, dropout: float) -> nn.Sequential:
    """Linear layers with ReLU and dropout between them; with no hidden layer, one Linear that starts at zero.

    Zero, because features outnumber images: what a random start puts where no image looks is never unlearned.
    """
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise((width, *hidden)):
        layers += [nn.Linear(n_in, n_out), nn.ReLU(), nn.Dropout(dropout)]
    last = nn.Linear((width, *hidden)[-1], n_classes)
    if not hidden:
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
    return nn.Sequential(*layers, last)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Inside, torch's random numbers depend on the seed alone; outside nobody notices."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside, torch computes on one core: batches of embeddings are too small to share, and sharing costs ten times more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@dataclass(frozen=True)
class FeatureTensors:
    """A job's data on its device: `features` (n_files, width) standardised, `labels` (n_files,), and the rows of the parts."""

    features: Tensor
    labels: Tensor
    train: Tensor
    judged: Tensor
    scale: Standardisation

    @classmethod
    def of(cls, job: TrainingJob) -> FeatureTensors:
        """Standardises by the train part; `judged` are the rows of validation and test."""
        train = job.data_set.indices("train")
        scale = Standardisation.of(features_of(job)[train])
        judged = np.flatnonzero(np.isin(job.data_set.parts, ("validation", "test")))
        return cls(
            features=torch.from_numpy(scale(features_of(job))).to(job.device),
            labels=torch.from_numpy(labels_of(job.data_set)).to(job.device),
            train=torch.from_numpy(train).to(job.device),
            judged=torch.from_numpy(judged).to(job.device),
            scale=scale,
        )


@dataclass(frozen=True)
class TrainedNetwork:
    """A network after its last epoch. `probabilities` (n_files, n_classes), NaN outside validation and test."""

    job: TrainingJob
    network: nn.Sequential
    tensors: FeatureTensors
    epochs: tuple[EpochEntry, ...]
    probabilities: Probabilities
    training_s: float
    evaluation_s: float

    def result(self, earlier_s: float = 0.0, notes: tuple[str, ...] = ()) -> TrainingResult:
        """What the head contract asks for; `earlier_s` are seconds spent on what this network learned from."""
        return TrainingResult(
            epochs=self.epochs,
            final=final_metrics(self.job.data_set, self.probabilities),
            parameters=sum(p.numel() for p in self.network.parameters()),
            training_s=self.training_s + earlier_s,
            evaluation_s=self.evaluation_s,
            predict=self.predict,
            notes=notes,
        )

    def predict(self, features: Floats) -> Floats:
        """Features (n, width) → probabilities (n, n_classes)."""
        with torch.inference_mode():
            inputs = torch.from_numpy(self.tensors.scale(features)).to(self.job.device)
            scores: npt.NDArray[np.float32] = self.network(inputs).softmax(dim=1).cpu().numpy()
            return scores

    def logits(self) -> Tensor:
        """Logits of all files (n_files, n_classes), on the device."""
        with torch.inference_mode():
            return self.network(self.tensors.features)


def batch_size_for(n_train: int, asked: int) -> int:
    """The batch asked for; of few images a smaller one, so that an epoch has eight steps and ten epochs teach something."""
    return min(asked, max(SMALLEST_BATCH, n_train // FEWEST_STEPS_AN_EPOCH))


def hard_objective(tensors: FeatureTensors, label_smoothing: float) -> Objective:
    """Cross-entropy against the labels."""

    def loss(logits: Tensor, rows: Tensor) -> Tensor:
        return F.cross_entropy(logits, tensors.labels[rows], label_smoothing=label_smoothing)

    return loss


def trained_on_features(
    job: TrainingJob,
    hidden: tuple[int, ...],
    objective: Callable[[FeatureTensors], Objective] | None = None,
) -> TrainedNetwork:
    """Trains one dense network on the job's features with AdamW and a cosine learning rate; the same seed, the same numbers.

    `objective` builds the loss from the data; without one it is the cross-entropy. Nothing is chosen on any part:
    the network after the last epoch is the result. Raises CvAutomlError when training diverges.
    """
    started = time.perf_counter()
    tensors = FeatureTensors.of(job)
    options = job.recipe.options
    loss_of = objective(tensors) if objective else hard_objective(tensors, float(options["label_smoothing"]))
    with seeded(job.seed, job.device), one_thread():
        network = dense_network(
            tensors.features.shape[1],
            hidden,
            len(job.data_set.classes),
            float(options.get("dropout", 0.0)),
        ).to(job.device)
        epochs, probabilities, evaluation_s = _epochs(job, network, tensors, loss_of)
    training_s = time.perf_counter() - started - evaluation_s
    return TrainedNetwork(job, network, tensors, epochs, probabilities, training_s, evaluation_s)


def _epochs(
    job: TrainingJob, network: nn.Sequential, tensors: FeatureTensors, loss_of: Objective
) -> tuple[tuple[EpochEntry, ...], Probabilities, float]:
    recipe = job.recipe
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, foreach=True
    )
    batch_size = batch_size_for(len(tensors.train), recipe.batch_size)
    steps = recipe.epochs * -(-len(tensors.train) // batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    order = torch.Generator().manual_seed(job.seed)
    entries = []
    probabilities = np.full((len(job.data_set), len(job.data_set.classes)), np.nan)
    evaluation_s = 0.0
    for epoch in range(1, recipe.epochs + 1):
        rate = float(schedule.get_last_lr()[0])
        loss = _one_epoch(network, optimizer, schedule, tensors, loss_of, batch_size, order)
        started = time.perf_counter()
        probabilities[tensors.judged.cpu().numpy()] = _judged_probabilities(network, tensors)
        entries.append(measured_epoch(job.data_set, epoch, probabilities, loss, rate))
        evaluation_s += time.perf_counter() - started
        job.on_epoch(entries[-1])
    return tuple(entries), probabilities, evaluation_s


def _one_epoch(
    network: nn.Sequential,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    tensors: FeatureTensors,
    loss_of: Objective,
    batch_size: int,
    order: torch.Generator,
) -> float:
    """One pass over the train part in a fresh order; returns the mean loss an image."""
    network.train()
    shuffled = tensors.train[torch.randperm(len(tensors.train), generator=order).to(tensors.train.device)]
    total = torch.zeros((), device=tensors.features.device)
    for rows in shuffled.split(batch_size):
        loss = loss_of(network(tensors.features[rows]), rows)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        total += loss.detach() * len(rows)
    mean = float(total) / len(shuffled)
    if not np.isfinite(mean):
        raise CvAutomlError("training diverged: the loss is not a number; lower the learning rate")
    return mean


def _judged_probabilities(network: nn.Sequential, tensors: FeatureTensors) -> Probabilities:
    network.eval()
    with torch.inference_mode():
        logits = network(tensors.features[tensors.judged])
        return logits.double().softmax(dim=1).cpu().numpy()
