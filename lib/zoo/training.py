"""The one training loop: shuffled batches, a cosine learning rate, and the loss an epoch; what is measured between is the caller's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
import torch._dynamo  # the optimiser imports it at its first step: seconds that would pass for training
from torch import Tensor, nn

from lib.errors import CvAutomlError
from lib.records import Recipe

Batch = TypeVar("Batch")
Indices = npt.NDArray[np.int64]


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


def shuffled_batches(rows: Indices, size: int, generator: np.random.Generator) -> Iterator[Indices]:
    """The rows in a fresh order, `size` at a time."""
    order = generator.permutation(rows)
    for start in range(0, len(order), size):
        yield order[start : start + size]


def backbone_rate(recipe: Recipe) -> float:
    """The learning rate of a backbone that is trained together with its head."""
    return float(recipe.options["backbone_learning_rate"])


def freeze_batch_statistics(network: nn.Module) -> None:
    """Batch norms keep the statistics of pretraining, which small batches would only blur."""
    for layer in network.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.eval()
