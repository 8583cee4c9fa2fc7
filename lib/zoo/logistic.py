"""Multinomial logistic regression with an L2 penalty, for all of its strengths C at once and to convergence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lib.clock import Clock
from lib.zoo.dense import FittedNetwork, RotatedFeatures, dense_network, fitted_network
from lib.zoo.devices import one_thread
from lib.zoo.jobs import Stage, TrainingJob, grid_points
from lib.zoo.metrics import Judge

MOST_ITERATIONS = 2000
TOLERANCE = 5e-5


@dataclass
class LogisticSolver:
    """Minimises |w|²/2 + C · Σ cross-entropy for each C; the bias is free. C is scikit-learn's.

    `inputs` (n, n_axes) whose columns are orthogonal with the norms `singular` (n_axes,), `truth` one-hot (n, n_classes).
    Each step minimises the quadratic bound that Boehning (1992, doi:10.1007/BF00048682) gives of the loss: the softmax's
    Hessian is at most ½ XᵀX, which is diagonal along these axes. Nesterov's acceleration, restarted where the
    gradient turns against the step (O'Donoghue & Candès 2015, arXiv:1204.3982), each C by itself.
    `weights` (n_axes + 1, n_points, n_classes), the bias last; `open`: the points that have not converged.
    """

    inputs: Tensor
    singular: Tensor
    truth: Tensor
    strengths: Tensor

    def __post_init__(self) -> None:
        n, n_points = len(self.inputs), len(self.strengths)
        one = torch.ones_like(self.inputs[:, :1])
        self.inputs = torch.cat([self.inputs, one], dim=1)
        free = torch.cat([torch.ones_like(self.singular), torch.zeros_like(self.singular[:1])])
        self.penalty = (free[:, None] / self.strengths)[..., None]
        curvature = 0.5 * torch.cat([self.singular**2, self.singular.new_full((1,), n)])
        self.step = 1 / (curvature[:, None, None] + self.penalty)
        self.weights = self.inputs.new_zeros(self.inputs.shape[1], n_points, self.truth.shape[1])
        # Without a look at the images, the shares of the classes are the best answer.
        self.weights[-1] = self.truth.mean(dim=0).clamp_min(1 / (10 * n)).log()
        self.ahead, self.momentum = self.weights.clone(), self.strengths.new_ones(n_points)
        self.open = torch.arange(n_points, device=self.inputs.device)
        self.iterations = 0

    def advance(self, iterations: int) -> None:
        """Goes on until so many iterations have been done in all, or every point has converged."""
        while self.iterations < iterations and len(self.open):
            self.iterations += 1
            self._iterate()

    def _iterate(self) -> None:
        active, ahead = self.open, self.ahead[:, self.open]
        gradient, step = self._gradient(ahead), self.step[:, active]
        before = self.weights[:, active]
        after = ahead - step * gradient
        moved = after - before
        restart = (gradient * moved).sum(dim=(0, 2)) > 0
        old = self.momentum[active]
        new = (1 + torch.sqrt(1 + 4 * old**2)) / 2
        keep = torch.where(restart, 0.0, (old - 1) / new)[:, None]
        self.weights[:, active], self.ahead[:, active] = after, after + keep * moved
        self.momentum[active] = torch.where(restart, 1.0, new)
        gain = (gradient * step * gradient).sum(dim=(0, 2)) / len(self.truth)
        self.open = active[~(gain < TOLERANCE**2)]

    def _gradient(self, weights: Tensor) -> Tensor:
        """Of Σ cross-entropy + |w|²/(2C), at the open points' `weights`."""
        logits = (self.inputs @ weights.flatten(1)).view(len(self.inputs), *weights.shape[1:])
        error = logits.softmax(dim=2) - self.truth[:, None]
        slope = (self.inputs.T @ error.flatten(1)).view_as(weights)
        return slope + self.penalty[:, self.open] * weights


def fitted_logistic(job: TrainingJob) -> FittedNetwork:
    """Solves every C of the recipe's grid and keeps the one chosen on the validation part.

    The epochs are looks at the solver, after ever more iterations, the last one where it has converged.
    """
    with Clock() as training, one_thread():
        data = RotatedFeatures(job)
        solver = _solver(job, data)
        stages = list(_stages(job, data, solver))

    def network(index: int) -> nn.Sequential:
        weights = solver.weights[:, index]
        return dense_network([(data.basis @ weights[:-1], weights[-1])])

    index, fitted = fitted_network(job, data.scale, stages, network)
    note = f"logistic regression had not quite converged after {solver.iterations} iterations"
    return fitted.told(training_s=training.seconds, notes=(note,) if index in solver.open.tolist() else ())


def _solver(job: TrainingJob, data: RotatedFeatures) -> LogisticSolver:
    strengths = [float(point["C"]) for point in grid_points(job.recipe.grid)]
    truth = torch.eye(len(job.data_set.classes), dtype=data.inputs.dtype, device=job.device)
    return LogisticSolver(
        data.inputs[data.train],
        data.singular,
        truth[data.labels[data.train]],
        torch.tensor(strengths, dtype=data.inputs.dtype, device=job.device),
    )


def _stages(job: TrainingJob, data: RotatedFeatures, solver: LogisticSolver) -> Iterator[Stage]:
    judge = Judge.of(job.data_set)
    for epoch in range(1, job.recipe.epochs + 1):
        solver.advance(round(MOST_ITERATIONS ** (epoch / job.recipe.epochs)))
        logits = torch.einsum("nr,rgc->gnc", data.inputs, solver.weights[:-1]) + solver.weights[-1][:, None]
        shares = logits.log_softmax(dim=2)
        truth = data.labels[data.train]
        loss = -shares[:, data.train, truth].mean(dim=1)
        yield Stage(shares[:, judge.rows].exp().cpu().numpy(), loss.double().cpu().numpy())
