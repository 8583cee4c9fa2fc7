"""What the features of a row say of its scores before any is measured: an out-of-fold blend of regressors, shrunk to the mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import nnls

from lib.performance_prediction.rows.features import FeatureEncoder
from lib.performance_prediction.table.score_table import Floats

Ints = npt.NDArray[np.int64]
Regressor = Callable[[Floats], Floats]
Fit = Callable[[Floats, Floats, int], Regressor]

_MOST_COMPONENTS = 12
_FOLDS = 10
_FEWEST_GROUPS = 5
_TREES = 100
_CHANCE_RATIO = 4.0
_MOST_TRUST = 0.9
_GROUPS_FOR_HALF_TRUST = 40


def grouped_folds(groups: Ints, count: int, seed: int) -> list[Ints]:
    """Positions of the rows of each fold, at most `count` folds; the rows of a group stay together."""
    names = np.unique(groups)
    count = min(count, len(names))
    fold_of = np.empty(len(names), dtype=int)
    fold_of[np.random.default_rng(seed).permutation(len(names))] = np.arange(len(names)) % count
    own = fold_of[np.searchsorted(names, groups)]
    return [np.flatnonzero(own == fold) for fold in range(count)]


def fit_forest(features: Floats, targets: Floats, seed: int) -> Regressor:
    """Extremely randomised trees (Geurts et al. 2006), all targets at once."""
    from sklearn.ensemble import ExtraTreesRegressor

    forest = ExtraTreesRegressor(_TREES, min_samples_leaf=2, max_features=0.5, random_state=seed)
    forest.fit(features, targets)
    return lambda new: forest.predict(new).reshape(len(new), -1)


def fit_kernel_ridge(features: Floats, targets: Floats, seed: int) -> Regressor:
    """Kernel ridge regression with a Gaussian kernel over the ranks of the features."""
    ordered = np.sort(features, axis=0)
    own = _ranks(ordered, features)
    mean = targets.mean(0)
    gram = _gaussian(own, own)
    weights = np.linalg.solve(gram + 0.3 * np.eye(len(gram)), targets - mean)
    return lambda new: mean + _gaussian(_ranks(ordered, new), own) @ weights


def _ranks(ordered: Floats, features: Floats) -> Floats:
    """Share of the training rows below each value, ties halved: (n_rows, width) in [0, 1]."""
    below = np.array(
        [np.searchsorted(ordered[:, j], features[:, j], "left") for j in range(features.shape[1])]
    )
    upto = np.array(
        [np.searchsorted(ordered[:, j], features[:, j], "right") for j in range(features.shape[1])]
    )
    return (below + upto).T / (2 * len(ordered))


def _gaussian(left: Floats, right: Floats) -> Floats:
    squares = (left**2).sum(1)[:, None] + (right**2).sum(1)[None] - 2 * left @ right.T
    return np.exp(-squares / (2 * 0.3**2 * left.shape[1]))


FITS: tuple[Fit, ...] = (fit_forest, fit_kernel_ridge)


@dataclass(frozen=True)
class Neighbourhood:
    """Which training rows a forest takes for neighbours of a new one: they fall into the same leaves (Breiman's proximity).

    `leaves`: (n_rows, n_trees); `trust` in [0, 1]: how much of the probability the neighbours share, the rest is everybody's.
    """

    leaves: npt.NDArray[np.int64]
    find: Callable[[Floats], npt.NDArray[np.int64]]
    trust: float

    @classmethod
    def fit(cls, encoded: Floats, targets: Floats, trust: float, seed: int) -> Neighbourhood:
        """A forest with larger leaves than one that predicts, so that every row has some neighbours."""
        from sklearn.ensemble import ExtraTreesRegressor

        forest = ExtraTreesRegressor(_TREES, min_samples_leaf=5, max_features=0.5, random_state=seed)
        forest.fit(encoded, targets)
        return cls(forest.apply(encoded), forest.apply, trust)

    def weights(self, encoded: Floats) -> Floats:
        """Probability (n_rows,) of each training row as a model of the new row, one line of features (1, width)."""
        shared = (self.find(encoded) == self.leaves).mean(1)
        return (1 - self.trust) / len(shared) + self.trust * shared / shared.sum()


@dataclass(frozen=True)
class RowPrior:
    """`out_of_fold`: (n_rows, n_columns), the prior mean of each training row as if its group had not been there."""

    mean: Floats
    out_of_fold: Floats
    components: Floats
    weights: Floats
    encoder: FeatureEncoder | None
    regressors: tuple[Regressor, ...]
    neighbourhood: Neighbourhood | None = None

    def __call__(self, features: pd.DataFrame | None) -> Floats:
        """Prior mean (n_rows, n_columns) of new rows; without features the mean of the training rows, (1, n_columns)."""
        if features is None or self.encoder is None:
            return self.mean[None].repeat(1 if features is None else len(features), 0)
        encoded = self.encoder.encode(features)
        predicted = np.array([regressor(encoded) for regressor in self.regressors])
        return self.mean + np.einsum("rnp,rp->np", predicted, self.weights) @ self.components

    def likely_rows(self, features: pd.DataFrame | None) -> Floats:
        """How probable each training row is as a model of the new one, (n_rows,), sum 1; all alike without features."""
        if features is None or self.encoder is None or self.neighbourhood is None:
            return np.full(len(self.out_of_fold), 1 / len(self.out_of_fold))
        return self.neighbourhood.weights(self.encoder.encode(features))


def fit_row_prior(values: Floats, groups: Ints, features: pd.DataFrame | None, seed: int) -> RowPrior:
    """Learns from whole rows `values` (n_rows, n_columns) on any scale; relatives share a number in `groups` (n_rows,).

    The regressors predict the rows' principal components; how far each is trusted is decided by non-negative least squares
    over predictions for groups left out, so features that say nothing end as the plain mean.
    """
    mean = values.mean(0)
    encoder = None if features is None else FeatureEncoder.fit(features)
    folds = grouped_folds(groups, _FOLDS, seed)
    if encoder is None or features is None or len(np.unique(groups)) < _FEWEST_GROUPS:
        return _without_features(values, groups)
    encoded = encoder.encode(features)
    if encoded.shape[1] == 0:
        return _without_features(values, groups)
    components = _components(values - mean)
    targets = (values - mean) @ components.T
    held_out, fold_means = _out_of_fold(encoded, targets, folds, seed)
    weights = _trust(held_out, fold_means, targets, len(np.unique(groups)))
    blended = np.einsum("rnp,rp->np", held_out - fold_means, weights)
    centres = np.array([np.delete(values, fold, 0).mean(0) for fold in folds])
    fold_of = np.empty(len(values), dtype=int)
    for number, fold in enumerate(folds):
        fold_of[fold] = number
    return RowPrior(
        mean,
        centres[fold_of] + blended @ components,
        components,
        weights,
        encoder,
        tuple(fit(encoded, targets, seed) for fit in FITS),
        Neighbourhood.fit(encoded, targets, _trust_in_neighbours(weights, len(np.unique(groups))), seed),
    )


def _without_features(values: Floats, groups: Ints) -> RowPrior:
    names, own = np.unique(groups, return_inverse=True)
    counts = np.bincount(own).astype(float)
    sums = np.zeros((len(names), values.shape[1]))
    np.add.at(sums, own, values)
    rest = len(values) - counts
    others = (values.sum(0) - sums) / np.maximum(rest, 1)[:, None]
    others[rest == 0] = values.mean(0)
    empty = np.zeros((0, 0))
    return RowPrior(values.mean(0), others[own], np.zeros((0, values.shape[1])), empty, None, ())


def _components(centred: Floats) -> Floats:
    return np.linalg.svd(centred, full_matrices=False)[2][:_MOST_COMPONENTS]


def _out_of_fold(encoded: Floats, targets: Floats, folds: list[Ints], seed: int) -> tuple[Floats, Floats]:
    """Predictions (n_regressors, n_rows, n_components) for rows left out, and the mean of the rest (n_rows, n_components)."""
    held_out = np.zeros((len(FITS), *targets.shape))
    fold_means = np.zeros_like(targets)
    for fold in folds:
        kept = np.setdiff1d(np.arange(len(targets)), fold)
        fold_means[fold] = targets[kept].mean(0)
        for number, fit in enumerate(FITS):
            held_out[number, fold] = fit(encoded[kept], targets[kept], seed)(encoded[fold])
    return held_out, fold_means


def _trust(held_out: Floats, fold_means: Floats, targets: Floats, n_groups: int) -> Floats:
    """Non-negative weight of each regressor for each component, (n_regressors, n_components); their sum is at most 1.

    Non-negative least squares on predictions for rows left out, then shrunk by 1 - c / F (positive-part James-Stein), F the
    usual ratio of explained to unexplained variance: what junk features explain by chance comes to nothing.
    """
    weights = np.zeros((len(held_out), targets.shape[1]))
    for p in range(targets.shape[1]):
        predicted, wanted = (held_out[:, :, p] - fold_means[:, p]).T, targets[:, p] - fold_means[:, p]
        solved = nnls(predicted, wanted)[0]
        solved /= max(1.0, float(solved.sum()))
        left = float(((wanted - predicted @ solved) ** 2).sum())
        explained = max(float((wanted**2).sum()) - left, 0.0)
        ratio = n_groups * explained / max(left, 1e-12)
        weights[:, p] = solved * max(0.0, 1 - (_CHANCE_RATIO / max(ratio, 1e-12)) ** 2)
    return weights


def _trust_in_neighbours(weights: Floats, n_groups: int) -> float:
    """Share of the probability for neighbours: little where features explain little, or few groups leave nobody near."""
    explained = min(1.0, float(weights[:, 0].sum()))
    return _MOST_TRUST * explained * n_groups / (n_groups + _GROUPS_FOR_HALF_TRUST)
