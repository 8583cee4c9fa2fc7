"""Dense networks on standardised features: what `linear`, `mlp` and `student` are once their weights are found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from lib.zoo.jobs import (
    Floats,
    Stage,
    Standardisation,
    TrainingJob,
    TrainingResult,
    features_of,
    tuned_result,
)
from lib.zoo.metrics import labels_of

SMALLEST_SHARE = 1e-10


def dense_network(layers: Sequence[tuple[Tensor, Tensor]], dropout: float = 0.0) -> nn.Sequential:
    """Linear layers of the given weights (n_in, n_out) and biases (n_out,), with ReLU and dropout between them."""
    modules: list[nn.Module] = []
    for weight, bias in layers:
        linear = nn.Linear(weight.shape[0], weight.shape[1], device="meta")
        linear.weight = nn.Parameter(weight.T.float().contiguous())
        linear.bias = nn.Parameter(bias.float().clone())
        modules += [linear, nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*modules[:-2])


@dataclass(frozen=True)
class FittedNetwork:
    """A network in its final state with the standardisation of its inputs, and the run's result."""

    network: nn.Sequential
    scale: Standardisation
    device: torch.device
    result: TrainingResult

    def logits(self, features: Floats) -> Tensor:
        """Features (n, width) → logits (n, n_classes), on the device."""
        with torch.inference_mode():
            return self.network(torch.from_numpy(self.scale(features)).to(self.device))

    def told(self, **more: Any) -> FittedNetwork:
        """With more in its result."""
        return replace(self, result=replace(self.result, **more))


def fitted_network(
    job: TrainingJob, scale: Standardisation, stages: Sequence[Stage], build: Callable[[int], nn.Sequential]
) -> tuple[int, FittedNetwork]:
    """The grid point chosen on the validation part, and the network that `build` makes of it, with its result."""
    index, result = tuned_result(job, stages)
    network = build(index).to(job.device).eval()
    fitted = FittedNetwork(network, scale, job.device, result)
    backbone = job.backbone  # and not the job, whose features would be kept as well

    def pair() -> nn.Module:
        from lib.zoo.pair_networks import DensePair

        return DensePair(backbone.feature_module(), network, scale).eval()

    answered = replace(
        result,
        parameters=sum(p.numel() for p in network.parameters()),
        predict=lambda x: fitted.logits(x).softmax(dim=1).cpu().numpy(),
        network=pair,
    )
    return index, replace(fitted, result=answered)


class RotatedFeatures:
    """A job's standardised features along the train part's principal axes, on its device.

    `inputs` (n_files, n_axes), `basis` (width, n_axes), `singular` (n_axes,): the train part's singular values, falling.
    With all axes nothing is lost: what is learned from `inputs` is learned from the features, at the price of
    min(n_train, width) columns.
    """

    def __init__(self, job: TrainingJob, most_axes: int | None = None) -> None:
        """Of the train part's axes all, or the strongest `most_axes`. float64, where the device knows it."""
        self.train = job.data_set.indices("train")
        self.scale = Standardisation.of(features_of(job)[self.train])
        dtype = torch.float32 if job.device.type == "mps" else torch.float64
        standardised = torch.from_numpy(self.scale(features_of(job))).to(job.device, dtype)
        self.basis, self.singular = _principal_axes(standardised[self.train], most_axes)
        self.inputs = standardised @ self.basis
        self.labels = torch.from_numpy(labels_of(job.data_set)).to(job.device)


def _principal_axes(rows: Tensor, most: int | None) -> tuple[Tensor, Tensor]:
    """Axes (width, n_axes) and singular values (n_axes,), from the smaller of both Gram matrices."""
    is_wide = rows.shape[0] < rows.shape[1]
    squares, vectors = torch.linalg.eigh(rows @ rows.T if is_wide else rows.T @ rows)
    squares, vectors = squares.flip(0)[:most], vectors.flip(1)[:, :most]
    kept = squares > SMALLEST_SHARE * squares[0].clamp_min(1e-30)
    singular, vectors = squares[kept].sqrt(), vectors[:, kept]
    return (rows.T @ (vectors / singular) if is_wide else vectors), singular
