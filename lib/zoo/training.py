"""The one training loop: batches, a cosine learning rate, the loss an epoch, and what is measured after each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
import torch._dynamo  # the optimiser imports it at its first step: seconds that would pass for training
from torch import Tensor, nn

from lib.clock import Clock
from lib.errors import CvAutomlError
from lib.records import EpochEntry, FinalMetrics, Recipe
from lib.zoo.jobs import TrainingJob, TrainingResult
from lib.zoo.preprocessing import Indices

Batch = TypeVar("Batch")


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Inside, torch's random numbers depend on the seed alone; outside nobody notices."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def trained_epochs(
    optimizer: torch.optim.Optimizer,
    epochs: int,
    batches: Callable[[], Iterable[Batch]],
    loss_of: Callable[[Batch], Tensor],
    largest_gradient: float | None = None,
) -> Iterator[tuple[int, npt.NDArray[np.float64], float]]:
    """Yields (epoch from 1, mean loss of its batches, first learning rate) after each epoch, so that the caller can measure.

    `batches()` gives one epoch's batches, the same number each time. `loss_of` gives a scalar, or one loss for each network
    that is trained beside others: their gradients do not mix. The learning rates fall to 0 along a cosine over all steps.
    Gradients are clipped to the norm `largest_gradient`. Raises CvAutomlError when every loss has stopped being a number.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    schedule = None
    for epoch in range(1, epochs + 1):
        planned = list(batches())
        if schedule is None:
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs * len(planned))
        rate = float(schedule.get_last_lr()[0])
        losses = []
        for batch in planned:
            loss = loss_of(batch)
            optimizer.zero_grad(set_to_none=True)
            loss.sum().backward()
            if largest_gradient is not None:
                nn.utils.clip_grad_norm_(parameters, largest_gradient)
            optimizer.step()
            schedule.step()
            losses.append(loss.detach())
        mean = torch.stack(losses).mean(dim=0).double().cpu().numpy()
        if not np.isfinite(mean).any():
            raise CvAutomlError("training diverged: the loss is not a number; lower the learning rate")
        yield epoch, mean, rate


@dataclass(frozen=True)
class Answers:
    """What a network in training answers after an epoch: its metrics by part, and all that a last epoch leaves."""

    metrics: dict[str, dict[str, float]]
    final: Callable[[], FinalMetrics]
    notes: tuple[str, ...] = ()


def trained_together(
    job: TrainingJob,
    optimizer: torch.optim.Optimizer,
    batches: Callable[[], Iterable[Indices]],
    loss_of: Callable[[Indices], Tensor],
    answers: Callable[[], Answers],
    largest_gradient: float | None = None,
) -> TrainingResult:
    """Trains a head on images, with or without the backbone below it: the result is that of the last epoch, nothing is chosen."""
    everything, evaluation = Clock(job.backbone.threads), Clock(job.backbone.threads)
    entries: list[EpochEntry] = []
    with everything:
        for epoch, loss, rate in trained_epochs(
            optimizer, job.recipe.epochs, batches, loss_of, largest_gradient
        ):
            with evaluation:
                last = answers()
                entry = EpochEntry(epoch=epoch, train_loss=float(loss), learning_rate=rate, **last.metrics)
                entries.append(entry)
            job.on_epoch(entry)
    return TrainingResult(
        epochs=tuple(entries),
        validation=entries[-1].validation,
        final=last.final(),
        parameters=sum(p.numel() for group in optimizer.param_groups for p in group["params"]),
        training_s=everything.seconds - evaluation.seconds,
        evaluation_s=evaluation.seconds,
        batch_size=job.recipe.batch_size,
        notes=last.notes,
    )


def optimizer_of(recipe: Recipe, head: nn.Module, backbone: nn.Module | None = None) -> torch.optim.AdamW:
    """AdamW with the head's learning rate for the head, and the small one for a backbone that is trained with it."""
    groups: list[dict[str, Any]] = [{"params": list(head.parameters()), "lr": recipe.learning_rate}]
    if backbone:
        rate = float(recipe.options["backbone_learning_rate"])
        groups.append({"params": list(backbone.parameters()), "lr": rate})
    return torch.optim.AdamW(groups, weight_decay=recipe.weight_decay)


def in_order(rows: Indices, size: int) -> Iterator[Indices]:
    """The rows, `size` at a time."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def freeze_batch_statistics(network: nn.Module) -> None:
    """Batch norms keep the statistics of pretraining, which small batches would only blur."""
    for layer in network.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.eval()
