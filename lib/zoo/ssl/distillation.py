"""DINO: a student learns to answer each view of an image as its own slow average, the teacher, answers another one.

Caron et al. 2021, arXiv:2104.14294: cross-entropy between two softmaxes over prototypes; the teacher's answers are centred
(against one prototype for all) and sharpened (against the same share for each).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

STUDENT_TEMPERATURE = 0.1
CENTRE_MOMENTUM = 0.9
HIDDEN = 512
BOTTLENECK = 128
COLLAPSED_INFORMATION = 0.01
COLLAPSED_SPREAD = 0.1


class Projection(nn.Module):
    """Features (n, width) → logits (n, prototypes): two hidden layers, a unit vector, and a last layer whose rows have length 1."""

    def __init__(self, width: int, prototypes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, HIDDEN),
            nn.GELU(),
            nn.Linear(HIDDEN, HIDDEN),
            nn.GELU(),
            nn.Linear(HIDDEN, BOTTLENECK),
        )
        self.prototypes = nn.Parameter(torch.randn(prototypes, BOTTLENECK))

    def forward(self, features: Tensor) -> Tensor:
        """The logits: cosines between what the layers give and the prototypes."""
        unit = functional.normalize(self.layers(features), dim=-1)
        return unit @ functional.normalize(self.prototypes, dim=-1).T


@dataclass(frozen=True)
class Answer:
    """What one step tells: the loss, and the teacher's logits (2, n, prototypes) of the global views for centre and diagnosis."""

    loss: Tensor
    teacher: Tensor


def distillation_loss(student: Sequence[Tensor], teacher: Tensor) -> Tensor:
    """Mean cross-entropy over all pairs of a view of the teacher and another view of the student.

    `student`: logits (n, prototypes) of each view, the global ones first; `teacher`: probabilities (2, n, prototypes).
    """
    told = [functional.log_softmax(logits / STUDENT_TEMPERATURE, dim=-1) for logits in student]
    pairs = [
        -(target * answer).sum(dim=-1).mean()
        for i, target in enumerate(teacher)
        for j, answer in enumerate(told)
        if i != j
    ]
    return torch.stack(pairs).mean()


def sharpened(logits: Tensor, centre: Tensor, temperature: float) -> Tensor:
    """The teacher's probabilities, centred and sharpened."""
    return functional.softmax((logits - centre) / temperature, dim=-1)


def entropies(probabilities: Tensor) -> tuple[float, float]:
    """(mean entropy of one answer, entropy of the mean answer) of (…, prototypes), in nats. Their difference is what an answer
    tells of its image: none where all answers are equal, be they one prototype or all alike."""
    flat = probabilities.flatten(0, -2)
    mean = flat.mean(dim=0)
    return float(-torch.xlogy(flat, flat).sum(dim=-1).mean()), float(-torch.xlogy(mean, mean).sum())


def embedding_spread(features: Tensor) -> float:
    """Root mean square distance of normalised features (n, width) from their mean: 0 where all are equal, at most 1."""
    unit = functional.normalize(features, dim=-1)
    return float((unit - unit.mean(dim=0)).square().sum(dim=-1).mean().sqrt())


def collapse_warning(
    teacher_entropy: float, spread_entropy: float, spread: float, spread_before: float
) -> str | None:
    """One sentence where the tuning has collapsed: the teacher's answers tell nothing of the image, or its embeddings have become
    a point."""
    if spread_entropy - teacher_entropy < COLLAPSED_INFORMATION:
        return "the teacher answers every image alike: lower the learning rate, or raise the batch size"
    if spread < COLLAPSED_SPREAD * spread_before:
        return f"the embeddings have shrunk to {spread / spread_before:.0%} of their spread: lower the learning rate"
    return None


def between(start: float, end: float, progress: float) -> float:
    """From `start` to `end` along half a cosine; `progress` from 0 to 1."""
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2
