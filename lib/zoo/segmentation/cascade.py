"""Two stages: a gate (is there a defect?) and a classifier (which kinds?) switch off the masks of the segmenter that follows.

Both are logistic regressions on the frozen network's pooled maps, so they cost next to nothing beside the segmenter. How sure
they have to be is chosen on the validation part; never switching anything off is among the choices.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from lib.clock import Clock
from lib.errors import CvAutomlError
from lib.records.schema import Option
from lib.zoo.jobs import Standardisation, TrainingJob, TrainingResult
from lib.zoo.preprocessing import Indices
from lib.zoo.segmentation.crops import batches_of
from lib.zoo.segmentation.frozen_maps import FrozenMaps
from lib.zoo.segmentation.metrics import PixelCounts
from lib.zoo.segmentation.post_processing import Aim, Answered, aimed_at
from lib.zoo.segmentation.pyramid import Maps
from lib.zoo.segmentation.training import MaskTraining, refuse_without_train
from lib.zoo.training import Answers, seeded

DECODER = "deeplabv3plus"
PENALTY_C = 0.01
CERTAIN_LOGIT = 10.0
BATCH = 16
# Probabilities from which a stage lets a mask through; 0 lets everything through.
CANDIDATES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)


class Switches(nn.Module):
    """Gate and classifier. `gate` (1,), `kinds` (n_classes,): the probabilities from which masks are let through."""

    mean: torch.Tensor
    spread: torch.Tensor
    gate: torch.Tensor
    kinds: torch.Tensor

    def __init__(self, width: int, n_classes: int) -> None:
        super().__init__()
        self.stages = nn.Linear(width, 1 + n_classes)
        for name, value in (("mean", torch.zeros(width)), ("spread", torch.ones(width))):
            self.register_buffer(name, value)
        self.register_buffer("gate", torch.zeros(1))
        self.register_buffer("kinds", torch.zeros(n_classes))

    def forward(self, own_maps: Maps, probabilities: torch.Tensor) -> torch.Tensor:
        """Probabilities (n, n_classes, h, w), 0 where a stage does not let them through."""
        return probabilities * self.on(self.scores(pooled(own_maps)))[..., None, None]

    def scores(self, features: torch.Tensor) -> torch.Tensor:
        """Pooled maps (n, width) → probabilities (n, 1 + n_classes): of any defect, and of each kind."""
        return self.stages((features.float() - self.mean) / self.spread).sigmoid()

    def on(self, scores: torch.Tensor) -> torch.Tensor:
        """bool (n, n_classes): what is let through."""
        return (scores[:, :1] >= self.gate) & (scores[:, 1:] >= self.kinds)

    def open(self) -> None:
        """Lets everything through."""
        self.gate.zero_()
        self.kinds.zero_()

    @torch.no_grad()
    def fit(self, features: torch.Tensor, present: torch.Tensor) -> None:
        """Learns both stages from pooled maps (n, width) and bool (n, n_classes)."""
        values = features.double().cpu().numpy().astype(np.float32)
        scale = Standardisation.of(values)
        self.mean.copy_(torch.from_numpy(scale.mean))
        self.spread.copy_(torch.from_numpy(scale.spread))
        truths = torch.cat([present.any(dim=1, keepdim=True), present], dim=1).cpu().numpy()
        for row, truth in enumerate(truths.T):
            weight, bias = _logistic(scale(values), truth)
            self.stages.weight[row] = torch.from_numpy(weight)
            self.stages.bias[row] = bias

    @torch.no_grad()
    def choose(self, scores: torch.Tensor, dice: torch.Tensor, present: torch.Tensor, aim: Aim) -> None:
        """Settles `gate`, then each of `kinds`, where Dice (n, n_classes) with masks switched off is best by `aim`."""
        for place, thresholds in ((self.gate, (slice(None, 1))), (self.kinds, slice(1, None))):
            asked = scores[:, thresholds]
            reached = torch.stack(
                [
                    aimed_at(
                        torch.where(self.on(scores) & (asked >= t), dice, (~present).double()), present, aim
                    )
                    for t in CANDIDATES
                ]
            )
            total = reached.mean(dim=1, keepdim=True) if len(place) < dice.shape[1] else reached
            place.copy_(torch.tensor(CANDIDATES)[total.argmax(dim=0)])

    def chosen(self, classes: tuple[str, ...]) -> dict[str, Option]:
        """`gate` and `kind:<class>`, as a fold's `chosen` holds them."""
        kinds = {f"kind:{name}": float(value) for name, value in zip(classes, self.kinds, strict=True)}
        return {"gate": float(self.gate), **kinds}


def pooled(own_maps: Maps) -> torch.Tensor:
    """The mean of each map, side by side: (n, width)."""
    return torch.cat([one.float().mean(dim=(2, 3)) for one in own_maps], dim=1)


def _logistic(features: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights (width,) and bias of a logistic regression; of one answer for all where the truth is."""
    if truth.all() or not truth.any():
        return np.zeros(features.shape[1], np.float32), CERTAIN_LOGIT if truth.all() else -CERTAIN_LOGIT
    fitted = LogisticRegression(C=PENALTY_C, max_iter=1000).fit(features, truth)
    return fitted.coef_[0].astype(np.float32), float(fitted.intercept_[0])


def train_cascade(job: TrainingJob) -> TrainingResult:
    """Trains both stages and the segmenter on the train part; raises as `train_masks` does, and for windows of images."""
    refuse_without_train(job)
    if job.recipe.options.get("input", "resized") != "resized":
        raise CvAutomlError("the cascade looks at whole images: set segmentation.input to resized")
    with seeded(job.seed, job.device):
        return _CascadeTraining(job).run()


class _CascadeTraining(MaskTraining):
    """The training of a segmenter with switches before its answers."""

    frozen: FrozenMaps

    def __init__(self, job: TrainingJob) -> None:
        super().__init__(job, DECODER)
        self.switches = Switches(sum(self.pair.pyramid.channels), len(self.classes)).to(job.device)
        self.pair.switches = self.switches
        self.fitting = Clock(job.backbone.threads)
        with self.fitting:
            train = job.data_set.indices("train")
            self.switches.fit(self._pooled(train), self._present(train))

    def run(self) -> TrainingResult:
        """The segmenter's result, with the stages' share of the cost."""
        result = super().run()
        return replace(
            result,
            parameters=result.parameters + sum(p.numel() for p in self.switches.parameters()),
            training_s=result.training_s + self.fitting.seconds,
            chosen={**result.chosen, **self.switches.chosen(self.classes)},
        )

    def _answers(self) -> Answers:
        self.switches.open()
        return super()._answers()

    @torch.no_grad()
    def _choose(self, validation: list[Answered]) -> list[Answered]:
        validation = super()._choose(validation)
        if not validation:
            return validation
        counts = PixelCounts.joined(
            [PixelCounts.of(self.pair.post.masks(p), t) for p, t in validation], len(self.classes)
        )
        scores = self.switches.scores(self._pooled(self.job.data_set.indices("validation"))).cpu()
        self.switches.cpu().choose(scores, counts.dice, counts.has_mask, self.options["tuned_for"])
        sizes = [len(truth) for _, truth in validation]
        switched = zip(validation, self.switches.on(scores).split(sizes), strict=True)
        self.switches.to(self.job.device)
        return [(probabilities * on[..., None, None], truth) for (probabilities, truth), on in switched]

    @torch.no_grad()
    def _pooled(self, rows: Indices) -> torch.Tensor:
        return torch.cat([pooled(self.frozen.of(batch)) for batch in batches_of(rows, BATCH)])

    def _present(self, rows: Indices) -> torch.Tensor:
        found = [self.sized.masks(batch).any(axis=(2, 3)) for batch in batches_of(rows, BATCH)]
        return torch.from_numpy(np.concatenate(found))
