"""Self-distillation epoch by epoch, kept after each: the same command goes on where it was interrupted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from lib.clock import Clock
from lib.config import SslSettings
from lib.errors import CvAutomlError
from lib.files import write_atomically
from lib.zoo.finetuning import batch_of
from lib.zoo.preprocessing import Indices, SizedImages
from lib.zoo.ssl.distillation import (
    CENTRE_MOMENTUM,
    between,
    collapse_warning,
    distillation_loss,
    embedding_spread,
    entropies,
    sharpened,
)
from lib.zoo.ssl.networks import Answering, local_size_px
from lib.zoo.ssl.views import multi_crops
from lib.zoo.training import in_order, seeded
from lib.zoo.tuned import TunedEpoch

LARGEST_GRADIENT = 3.0
PROJECTION_RATE = 10.0  # the projection starts from nothing, the backbone does not
JUDGED_IMAGES = 256
FACTS = "facts"


@dataclass
class Tuner:
    """A student and its teacher in training on the images at `rows`.

    `curve`, `warnings`: of the epochs done. Every epoch draws its random numbers from the seed and its own number alone, so that
    one that begins from a checkpoint is the same as one in a row.
    """

    student: Answering
    teacher: Answering
    images: SizedImages
    rows: Indices
    settings: SslSettings
    epochs: int
    seed: int
    on_images: Callable[[int, int], None] = lambda done, total: None
    curve: list[TunedEpoch] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if len(self.rows) < 2:
            raise CvAutomlError(
                f"there are {len(self.rows)} images to learn from: two views need two images or more"
            )
        self.device = next(self.student.parameters()).device
        self.local_px = local_size_px(self.student, self.settings.local_size_px)
        self.optimizer = _optimizer(self.student, self.settings)
        seen = self._features()
        self.spread_before = embedding_spread(seen)
        for side in (self.student, self.teacher):
            side.standardise(seen)
        # From zero the centre would take tens of steps to arrive, and a short tuning collapses before.
        with torch.no_grad():
            self.centre = self.teacher.answers(seen).mean(dim=0, keepdim=True)

    @property
    def steps(self) -> int:
        """Batches an epoch; a last one that is not full is left out."""
        return max(1, len(self.rows) // self.settings.batch_size)

    def run(self, keep: Callable[[], None]) -> Iterator[TunedEpoch]:
        """Trains what is left, calls `keep` and yields after each epoch. Raises CvAutomlError when the loss is no number."""
        while len(self.curve) < self.epochs:
            epoch = len(self.curve) + 1
            with Clock() as clock, seeded(self.seed * 100_003 + epoch, self.device):
                loss, teacher_entropy, spread_entropy = self._epoch(epoch)
            if not np.isfinite(loss):
                raise CvAutomlError(
                    f"the tuning diverged in epoch {epoch}: its loss is no number; lower the learning rate"
                )
            entry = TunedEpoch(
                epoch=epoch,
                loss=loss,
                teacher_entropy=teacher_entropy,
                spread_entropy=spread_entropy,
                embedding_spread=embedding_spread(self._features()),
                seconds=clock.seconds,
            )
            self.curve.append(entry)
            if problem := collapse_warning(
                teacher_entropy, spread_entropy, entry.embedding_spread, self.spread_before
            ):
                self.warnings.append(f"COLLAPSE in epoch {epoch}: {problem}")
            keep()
            yield entry

    def _epoch(self, epoch: int) -> tuple[float, float, float]:
        order = self.rows[torch.randperm(len(self.rows)).numpy()]
        size = min(self.settings.batch_size, len(order))
        losses, answers = [], []
        for step, rows in enumerate(in_order(order[: self.steps * size], size)):
            progress = (epoch - 1 + step / self.steps) / self.epochs
            self._schedule(progress, warm_up=min(1.0, (step + 1) / self.steps) if epoch == 1 else 1.0)
            loss, answer = self._step(rows, progress)
            losses.append(loss)
            answers.append(answer)
            self.on_images((step + 1) * size, self.steps * size)
        return float(np.mean(losses)), *entropies(torch.cat(answers))

    def _step(self, rows: Indices, progress: float) -> tuple[float, Tensor]:
        """One batch: the loss, and the teacher's probabilities (2 n, prototypes) on the processor."""
        chosen = self.settings
        images = batch_of(self.images, rows).to(self.device)
        views = multi_crops(images, self.images.spec.height_px, chosen.local_views, self.local_px)
        with torch.no_grad():
            logits = self.teacher(torch.cat(views[:2])).unflatten(0, (2, len(rows)))
            target = sharpened(logits, self.centre, chosen.teacher_temperature)
        answers = [*self.student(torch.cat(views[:2])).chunk(2)]
        if chosen.local_views:
            answers += self.student(torch.cat(views[2:])).chunk(chosen.local_views)
        loss = distillation_loss(answers, target)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        trained = [p for group in self.optimizer.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(trained, LARGEST_GRADIENT)
        self.optimizer.step()
        self._follow(between(chosen.momentum, 1.0, progress))
        batch_centre = logits.mean(dim=(0, 1)).unsqueeze(0)
        self.centre = CENTRE_MOMENTUM * self.centre + (1 - CENTRE_MOMENTUM) * batch_centre
        return float(loss.detach()), target.flatten(0, 1).cpu()

    def _schedule(self, progress: float, warm_up: float) -> None:
        chosen = self.settings
        rate = between(chosen.learning_rate, 0.0, progress) * warm_up
        decay = between(chosen.weight_decay, chosen.final_weight_decay, progress)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["times"]
            group["weight_decay"] = decay * group["decays"]

    def _follow(self, momentum: float) -> None:
        """The teacher takes a small step towards the student."""
        theirs = dict(self.teacher.named_parameters())
        with torch.no_grad():
            for name, mine in self._trained().items():
                theirs[name].lerp_(mine, 1 - momentum)

    def _trained(self) -> dict[str, nn.Parameter]:
        return {name: p for name, p in self.student.named_parameters() if p.requires_grad}

    def _features(self) -> Tensor:
        """What the teacher's backbone gives (n, width) of up to 256 images."""
        chosen = self.rows[np.linspace(0, len(self.rows) - 1, min(JUDGED_IMAGES, len(self.rows))).astype(int)]
        with torch.no_grad():
            return torch.cat(
                [
                    self.teacher.features(batch_of(self.images, rows).to(self.device))
                    for rows in in_order(chosen, self.settings.batch_size)
                ]
            )

    def save(self, path: Path, identity: str) -> None:
        """Writes all that training goes on from, whole or not at all; `identity` says whose it is."""
        theirs = dict(self.teacher.named_parameters())
        tensors = {"centre": self.centre}
        for name, mine in self._trained().items():
            state = self.optimizer.state[mine]
            tensors |= {f"student.{name}": mine.detach(), f"teacher.{name}": theirs[name]}
            tensors |= {f"{key}.{name}": state[key] for key in ("exp_avg", "exp_avg_sq", "step")}
        facts = {
            "identity": identity,
            "spread_before": self.spread_before,
            "warnings": self.warnings,
            "curve": [entry.model_dump() for entry in self.curve],
        }
        tensors = {name: tensor.contiguous().cpu() for name, tensor in tensors.items()}
        write_atomically(path, save(tensors, metadata={FACTS: json.dumps(facts)}))

    def load(self, path: Path, identity: str) -> bool:
        """Goes on from a checkpoint; False, with nothing changed, where there is none of the same tuning."""
        facts, tensors = _checkpoint(path)
        if facts.get("identity") != identity:
            return False
        theirs = dict(self.teacher.named_parameters())
        with torch.no_grad():
            self.centre = tensors["centre"].to(self.device)
            for name, mine in self._trained().items():
                mine.copy_(tensors[f"student.{name}"])
                theirs[name].copy_(tensors[f"teacher.{name}"])
                state = {key: tensors[f"{key}.{name}"].to(self.device) for key in ("exp_avg", "exp_avg_sq")}
                self.optimizer.state[mine] = {**state, "step": tensors[f"step.{name}"]}
        self.curve = [TunedEpoch(**entry) for entry in facts["curve"]]
        self.warnings = list(facts["warnings"])
        self.spread_before = float(facts["spread_before"])
        return True


def _checkpoint(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Facts and tensors of a checkpoint; both empty where there is none that can be read."""
    try:
        with safe_open(path, framework="pt") as file:
            return json.loads(file.metadata()[FACTS]), load_file(path)
    except Exception:  # a torn or foreign file: safetensors raises its own, json and dict theirs
        return {}, {}


def _optimizer(student: Answering, settings: SslSettings) -> torch.optim.AdamW:
    """AdamW; biases and norms are not decayed, the projection learns faster than the backbone."""
    groups: list[dict[str, object]] = []
    for module, times in ((student.network, 1.0), (student.projection, PROJECTION_RATE)):
        trained = [p for p in module.parameters() if p.requires_grad]
        for decays in (True, False):
            members = [p for p in trained if (p.ndim > 1) == decays]
            if members:
                groups.append({"params": members, "times": times, "decays": float(decays)})
    return torch.optim.AdamW(groups, lr=settings.learning_rate)
