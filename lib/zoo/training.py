"""The one training loop: batches, a schedule, the loss an epoch, what is measured after each, and which epoch is kept."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
import torch._dynamo  # the optimiser imports it at its first step: seconds that would pass for training
from torch import Tensor, nn

from lib.clock import Clock
from lib.errors import CvAutomlError
from lib.records import EpochEntry, FinalMetrics
from lib.records.schema import PRIMARY_METRIC, Task
from lib.zoo.course import LAST, Course, Schedule, cosine
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
    schedule_of: Callable[[torch.optim.Optimizer, int, int], Schedule] = cosine,
) -> Iterator[tuple[int, npt.NDArray[np.float64], float]]:
    """Yields (epoch from 1, mean loss of its batches, first learning rate) after each epoch, so that the caller can measure.

    `batches()` gives one epoch's batches, the same number each time. `loss_of` gives a scalar, or one loss for each network
    that is trained beside others: their gradients do not mix. `schedule_of(optimizer, epochs, steps an epoch)` sets the
    learning rates. Gradients are clipped to the norm `largest_gradient`. Raises CvAutomlError, naming epoch and step, when
    every loss has stopped being a number.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    schedule = None
    for epoch in range(1, epochs + 1):
        planned = list(batches())
        if schedule is None:
            schedule = schedule_of(optimizer, epochs, len(planned))
        rate = float(optimizer.param_groups[0]["lr"])
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
        every = torch.stack(losses).double().cpu().numpy()
        _refuse_divergence(every, epoch)
        yield epoch, every.mean(axis=0), rate


def _refuse_divergence(losses: npt.NDArray[np.float64], epoch: int) -> None:
    """`losses` (n_steps,) or (n_steps, n_networks): a network that diverged beside others is judged by its probabilities."""
    is_number = np.isfinite(losses.reshape(len(losses), -1))
    if not is_number.all(axis=0).any():
        step = int(np.argmin(is_number.any(axis=1))) + 1
        raise CvAutomlError(
            f"training diverged in epoch {epoch}, step {step}: the loss is not a number; lower the learning rate"
        )


@dataclass(frozen=True)
class Answers:
    """What a network in training answers after an epoch: its metrics by part, and all that a last epoch leaves."""

    metrics: dict[str, dict[str, float]]
    final: Callable[[], FinalMetrics]
    notes: tuple[str, ...] = ()
    test: npt.NDArray[np.floating] | None = None  # probabilities (n_test, n_classes)


def trained_together(
    job: TrainingJob,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Callable[[], Iterable[Indices]],
    loss_of: Callable[[int, Indices], Tensor],
    answers: Callable[[], Answers],
) -> TrainingResult:
    """Trains `network` (a head, with or without the backbone below it) on images as the recipe's options say.

    `loss_of(epoch, rows)`. The result is that of the last epoch, or of the one that did best on the validation part where the
    recipe names a metric to keep by; the entries of the epochs say what the network kept so far answers.
    """
    everything, evaluation = Clock(job.backbone.threads), Clock(job.backbone.threads)
    entries: list[EpochEntry] = []
    course = Course.of(job.recipe)
    kept = _Kept(course, job.data_set.task, network)
    with everything:
        trained = trained_epochs(
            optimizer,
            job.recipe.epochs,
            _numbered(batches),
            lambda one: loss_of(*one),
            course.largest_gradient or None,
            course.schedule,
        )
        for epoch, loss, rate in trained:
            with evaluation:
                kept.look_at(epoch, answers())
                metrics = kept.answers.metrics
                entry = EpochEntry(epoch=epoch, train_loss=float(loss), learning_rate=rate, **metrics)
                entries.append(entry)
            job.on_epoch(entry)
            if course.patience and epoch - kept.epoch >= course.patience:
                break
        kept.restore()
    return TrainingResult(
        epochs=tuple(entries),
        validation=entries[-1].validation,
        final=kept.answers.final(),
        parameters=sum(p.numel() for group in optimizer.param_groups for p in group["params"]),
        training_s=everything.seconds - evaluation.seconds,
        evaluation_s=evaluation.seconds,
        batch_size=job.recipe.batch_size,
        answers=kept.answers.test,
        notes=(*kept.answers.notes, *kept.notes(len(entries))),
    )


def _numbered(batches: Callable[[], Iterable[Batch]]) -> Callable[[], Iterable[tuple[int, Batch]]]:
    epochs = itertools.count(1)
    return lambda: zip(itertools.repeat(next(epochs)), batches(), strict=False)


class _Kept:
    """Which epoch's network is kept: the last, or the best of the validation part so far with a copy of its weights."""

    def __init__(self, course: Course, task: Task, network: nn.Module) -> None:
        self.network, self.course = network, course
        self.metric = PRIMARY_METRIC[task] if course.keep == LAST else course.keep
        self.answers, self.epoch, self.best = Answers({}, FinalMetrics(metrics={}).model_copy), 0, -np.inf
        self.state: dict[str, Tensor] = {}

    def look_at(self, epoch: int, answers: Answers) -> None:
        """After each epoch. Without a validation part the last one is kept."""
        value = answers.metrics["validation"].get(self.metric)
        better = value is None or value > self.best
        if better:
            self.epoch, self.best = epoch, -np.inf if value is None else value
        if better or self.course.keep == LAST:
            self.answers = answers
        if better and self.course.keep != LAST:
            self.state = {name: value.detach().cpu().clone() for name, value in self._state()}

    def restore(self) -> None:
        """Puts the kept weights back."""
        for name, value in self._state():
            if name in self.state:
                value.data.copy_(self.state[name])

    def notes(self, n_epochs: int) -> tuple[str, ...]:
        """What a record should say of it."""
        ended = f"stopped after epoch {n_epochs}: no better {self.metric} on the validation part"
        early = (ended,) if self.course.patience and n_epochs - self.epoch >= self.course.patience else ()
        best = f"kept the network of epoch {self.epoch}, the best {self.metric} on the validation part"
        return (*early, *((best,) if self.course.keep != LAST else ()))

    def _state(self) -> Iterator[tuple[str, Tensor]]:
        yield from self.network.named_parameters()
        yield from self.network.named_buffers()


def in_order(rows: Indices, size: int) -> Iterator[Indices]:
    """The rows, `size` at a time."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def freeze_batch_statistics(network: nn.Module) -> None:
    """Batch norms keep the statistics of pretraining, which small batches would only blur."""
    for layer in network.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.eval()
