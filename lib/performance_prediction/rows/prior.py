"""What the features of a row say of its scores before any is measured: an out-of-fold blend of regressors, shrunk to the mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lib.performance_prediction.table.score_table import Floats, Ints

if TYPE_CHECKING:
    import pandas as pd

Regressor = Callable[[Floats], Floats]
Fit = Callable[[Floats, Floats, int], Regressor]

_MOST_COMPONENTS = 12
_FOLDS = 10
_FEWEST_GROUPS = 5
_TREES = 100
_MOST_CATEGORIES = 20
_RIDGE, _KERNEL_WIDTH = 0.3, 0.3  # of kernel ridge regression on ranks; picked on oboe_error
_GROUPS_FOR_HALF_TRUST = (
    40  # few groups leave nobody near; picked on clip_linear_probe (22 groups) and oboe_error (418)
)


def grouped_folds(groups: Ints, count: int, seed: int) -> list[Ints]:
    """Positions of the rows of each fold, at most `count` folds; the rows of a group stay together."""
    from sklearn.model_selection import GroupKFold

    splitter = GroupKFold(min(count, len(np.unique(groups))), shuffle=True, random_state=seed)
    return [fold for _, fold in splitter.split(groups, groups=groups)]


@dataclass(frozen=True)
class FeatureEncoder:
    """Features as numbers without NaN: gaps filled with the median and flagged, categories one-hot, learnt from training rows alone."""

    numbers: tuple[str, ...]
    categories: tuple[str, ...]
    columns: Any

    @classmethod
    def fit(cls, features: pd.DataFrame) -> FeatureEncoder | None:
        """From one line a training row. Features that never vary, and free text, are left out; None where nothing is left."""
        from sklearn.compose import ColumnTransformer
        from sklearn.impute import SimpleImputer
        from sklearn.preprocessing import OneHotEncoder

        numbers = tuple(str(name) for name in features if _is_number(features[name]))
        texts = [str(name) for name in features if str(name) not in numbers]
        numbers = tuple(name for name in numbers if features[name].nunique(dropna=False) > 1)
        most = min(_MOST_CATEGORIES, max(2, len(features) // 2))
        categories = tuple(name for name in texts if 2 <= features[name].nunique() <= most)
        if not numbers and not categories:
            return None
        columns = ColumnTransformer(
            [
                ("numbers", SimpleImputer(strategy="median", add_indicator=True), list(numbers)),
                ("categories", OneHotEncoder(handle_unknown="ignore", sparse_output=False), list(categories)),
            ]
        )
        encoder = cls(numbers, categories, columns)
        columns.fit(encoder._typed(features))
        return encoder

    def encode(self, features: pd.DataFrame) -> Floats:
        """Float array (n_rows, width); a feature the table lacks counts as a gap, an unknown category as none."""
        return np.asarray(self.columns.transform(self._typed(features)), dtype=float)

    def _typed(self, features: pd.DataFrame) -> pd.DataFrame:
        import pandas as pd

        typed = features.reindex(columns=[*self.numbers, *self.categories])
        for name in self.numbers:
            numbers = pd.to_numeric(typed[name], errors="coerce").astype(float)
            typed[name] = numbers.where(np.isfinite(numbers))
        for name in self.categories:
            typed[name] = typed[name].astype(object).map(str)
        return typed


def _is_number(column: pd.Series) -> bool:
    import pandas as pd

    known = pd.to_numeric(column, errors="coerce")
    return bool(column.notna().any() and known.notna().sum() == column.notna().sum())


def fit_forest(features: Floats, targets: Floats, seed: int) -> Regressor:
    """Extremely randomised trees (Geurts et al. 2006), all targets at once."""
    from sklearn.ensemble import ExtraTreesRegressor

    forest = ExtraTreesRegressor(_TREES, min_samples_leaf=2, max_features=0.5, random_state=seed)
    forest.fit(features, targets)
    return lambda new: forest.predict(new).reshape(len(new), -1)


def fit_kernel_ridge(features: Floats, targets: Floats, seed: int) -> Regressor:
    """Kernel ridge regression with a Gaussian kernel over the ranks of the features."""
    from sklearn.kernel_ridge import KernelRidge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import QuantileTransformer

    mean = targets.mean(0)
    gamma = 1 / (2 * _KERNEL_WIDTH**2 * features.shape[1])
    ranks = QuantileTransformer(n_quantiles=len(features), subsample=None)
    model = make_pipeline(ranks, KernelRidge(alpha=_RIDGE, kernel="rbf", gamma=gamma))
    model.fit(features, targets - mean)
    return lambda new: mean + model.predict(new)


FITS: tuple[Fit, ...] = (fit_forest, fit_kernel_ridge)


@dataclass(frozen=True)
class Neighbourhood:
    """Which training rows a forest takes for neighbours of a new one: they fall into the same leaves (Breiman's proximity).

    `leaves`: (n_rows, n_trees); `trust` in [0, 1]: how much of the probability the neighbours share, the rest is everybody's.
    """

    leaves: Ints
    find: Callable[[Floats], Ints]
    trust: float

    @classmethod
    def fit(cls, encoded: Floats, targets: Floats, trust: float, seed: int) -> Neighbourhood:
        """A forest with larger leaves than one that predicts, so that every row has some neighbours."""
        from sklearn.ensemble import ExtraTreesRegressor

        forest = ExtraTreesRegressor(_TREES, min_samples_leaf=5, max_features=0.5, random_state=seed)
        forest.fit(encoded, targets)
        return cls(forest.apply(encoded), forest.apply, trust)

    def weights(self, leaves: Ints) -> Floats:
        """Probability (n_rows,) of each training row as a model of one that falls into `leaves` (n_trees,)."""
        shared = (leaves == self.leaves).mean(1)
        return (1 - self.trust) / len(shared) + self.trust * shared / shared.sum()


@dataclass(frozen=True)
class RowPrior:
    """`out_of_fold`: (n_rows, n_columns), the prior mean of each training row as if its group had not been there."""

    mean: Floats
    out_of_fold: Floats
    components: Floats
    weights: Floats
    encoder: FeatureEncoder | None = None
    regressors: tuple[Regressor, ...] = ()
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
            return self._all_alike()
        return self.neighbourhood.weights(self.neighbourhood.find(self.encoder.encode(features))[0])

    def likely_as(self, row: int) -> Floats:
        """The same for one of the training rows, itself among them."""
        return (
            self.neighbourhood.weights(self.neighbourhood.leaves[row])
            if self.neighbourhood
            else self._all_alike()
        )

    def _all_alike(self) -> Floats:
        return np.full(len(self.out_of_fold), 1 / len(self.out_of_fold))


def fit_row_prior(values: Floats, groups: Ints, features: pd.DataFrame | None, seed: int) -> RowPrior:
    """Learns from whole rows `values` (n_rows, n_columns) on any scale; relatives share a number in `groups` (n_rows,).

    The regressors predict the rows' principal components; how far each is trusted is decided by non-negative least squares
    over predictions for groups left out, so features that say nothing end as the plain mean.
    """
    n_groups = len(np.unique(groups))
    encoder = FeatureEncoder.fit(features) if features is not None and n_groups >= _FEWEST_GROUPS else None
    if encoder is None or features is None:
        return _without_features(values, groups)
    mean, encoded = values.mean(0), encoder.encode(features)
    components = np.linalg.svd(values - mean, full_matrices=False)[2][:_MOST_COMPONENTS]
    targets = (values - mean) @ components.T
    folds = grouped_folds(groups, _FOLDS, seed)
    rest = np.empty_like(values)
    for fold in folds:
        rest[fold] = np.delete(values, fold, 0).mean(0)
    centres = (rest - mean) @ components.T
    deviations = _out_of_fold(encoded, targets, folds, seed) - centres
    weights = trust(deviations, targets - centres, n_groups)
    explained = min(1.0, float(weights[:, 0].sum()))
    near = explained * n_groups / (n_groups + _GROUPS_FOR_HALF_TRUST)
    return RowPrior(
        mean,
        rest + np.einsum("rnp,rp->np", deviations, weights) @ components,
        components,
        weights,
        encoder,
        tuple(fit(encoded, targets, seed) for fit in FITS),
        Neighbourhood.fit(encoded, targets, near, seed),
    )


def _without_features(values: Floats, groups: Ints) -> RowPrior:
    """The plain mean; out of fold that of all rows but the group's own."""
    own = groups[:, None] == groups
    rest = np.where(own.all(1, keepdims=True), True, ~own).astype(float)
    others = rest @ values / rest.sum(1, keepdims=True)
    return RowPrior(values.mean(0), others, np.zeros((0, values.shape[1])), np.zeros((0, 0)))


def _out_of_fold(encoded: Floats, targets: Floats, folds: list[Ints], seed: int) -> Floats:
    """Predictions (n_regressors, n_rows, n_components) for rows left out."""
    held_out = np.zeros((len(FITS), *targets.shape))
    for fold in folds:
        kept = np.setdiff1d(np.arange(len(targets)), fold)
        for number, fit in enumerate(FITS):
            held_out[number, fold] = fit(encoded[kept], targets[kept], seed)(encoded[fold])
    return held_out


def trust(held_out: Floats, targets: Floats, n_groups: int) -> Floats:
    """Non-negative weight of each regressor for each component, (n_regressors, n_components); their sum is at most 1.

    `held_out` (n_regressors, n_rows, n_components): predictions for rows left out; `targets`: what came, both less the mean of the
    rest. Non-negative least squares, then shrunk by 1 − 1/F (positive-part James–Stein), F being `n_groups` times explained over
    unexplained variance, about 1 for a regressor that knows nothing: junk features come to nothing.
    """
    from scipy.optimize import nnls

    weights = np.zeros((len(held_out), targets.shape[1]))
    for p, wanted in enumerate(targets.T):
        solved = nnls(held_out[:, :, p].T, wanted)[0]
        solved /= max(1.0, float(solved.sum()))
        left = float(np.square(wanted - solved @ held_out[:, :, p]).sum())
        explained = max(float(np.square(wanted).sum()) - left, 0.0)
        ratio = n_groups * explained / max(left, 1e-12)
        weights[:, p] = solved * max(0.0, 1 - 1 / max(ratio, 1e-12))
    return weights
