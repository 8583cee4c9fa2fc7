"""What the features of a row say of its scores before any is measured: an out-of-fold blend of regressors, shrunk to the mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lib.performance_prediction.table.score_table import Floats, Ints

if TYPE_CHECKING:
    import pandas as pd

Encoder = Callable[["pd.DataFrame"], Floats]

_MOST_COMPONENTS = 12
_FOLDS = 10
_FEWEST_GROUPS = 5
_TREES = 100
_MOST_CATEGORIES = 20
_RIDGE, _KERNEL_WIDTH = 0.3, 0.3  # of kernel ridge regression on ranks; picked on oboe_error
# few groups leave nobody near; picked on clip_linear_probe (22 groups) and oboe_error (418)
_GROUPS_FOR_HALF_TRUST = 40


@dataclass(frozen=True)
class Regressor:
    """A fitted `model` of scikit-learn; `mean` (n_targets,) is added to what it says."""

    model: Any
    mean: Floats | float = 0.0

    def __call__(self, new: Floats) -> Floats:
        return self.mean + self.model.predict(new).reshape(len(new), -1)


Fit = Callable[[Floats, Floats, int], Regressor]


def grouped_folds(groups: Ints, count: int, seed: int) -> list[Ints]:
    """Positions of the rows of each fold, at most `count` folds; the rows of a group stay together."""
    from sklearn.model_selection import GroupKFold

    splitter = GroupKFold(min(count, len(np.unique(groups))), shuffle=True, random_state=seed)
    return [fold for _, fold in splitter.split(groups, groups=groups)]


def fit_encoder(features: pd.DataFrame) -> Encoder | None:
    """Features → floats (n_rows, width) without NaN: gaps filled with the median and flagged, categories one-hot.

    Learnt from one line a training row; a feature that a later table lacks counts as a gap, an unknown category as none. Features
    that never vary, and free text, are left out; None where nothing is left.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import OneHotEncoder

    numeric = [str(name) for name in features if _is_number(features[name])]
    texts = [str(name) for name in features if str(name) not in numeric]
    numbers = [name for name in numeric if features[name].nunique(dropna=False) > 1]
    most = min(_MOST_CATEGORIES, max(2, len(features) // 2))
    categories = [name for name in texts if 2 <= features[name].nunique() <= most]
    if not numbers and not categories:
        return None
    columns = ColumnTransformer(
        [
            ("numbers", SimpleImputer(strategy="median", add_indicator=True), numbers),
            ("categories", OneHotEncoder(handle_unknown="ignore", sparse_output=False), categories),
        ]
    )
    columns.fit(_typed(features, numbers, categories))
    return lambda new: np.asarray(columns.transform(_typed(new, numbers, categories)), dtype=float)


def _typed(features: pd.DataFrame, numbers: list[str], categories: list[str]) -> pd.DataFrame:
    import pandas as pd

    typed = features.reindex(columns=[*numbers, *categories])
    for name in numbers:
        values = pd.to_numeric(typed[name], errors="coerce").astype(float)
        typed[name] = values.where(np.isfinite(values))
    for name in categories:
        typed[name] = typed[name].astype(object).map(str)
    return typed


def _is_number(column: pd.Series) -> bool:
    import pandas as pd

    known = pd.to_numeric(column, errors="coerce")
    return bool(column.notna().any() and known.notna().sum() == column.notna().sum())


def _forest(features: Floats, targets: Floats, seed: int, smallest_leaf: int = 2) -> Any:
    """Extremely randomised trees (Geurts et al. 2006), all targets at once."""
    from sklearn.ensemble import ExtraTreesRegressor

    trees = ExtraTreesRegressor(_TREES, min_samples_leaf=smallest_leaf, max_features=0.5, random_state=seed)
    return trees.fit(features, targets)


def fit_forest(features: Floats, targets: Floats, seed: int) -> Regressor:
    """A forest's predictions, (n_rows, n_targets)."""
    return Regressor(_forest(features, targets, seed))


def fit_kernel_ridge(features: Floats, targets: Floats, seed: int) -> Regressor:
    """Kernel ridge regression with a Gaussian kernel over the ranks of the features."""
    from sklearn.kernel_ridge import KernelRidge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import QuantileTransformer

    mean = targets.mean(0)
    gamma = 1 / (2 * _KERNEL_WIDTH**2 * features.shape[1])
    ranks = QuantileTransformer(n_quantiles=len(features), subsample=None)
    model = make_pipeline(ranks, KernelRidge(alpha=_RIDGE, kernel="rbf", gamma=gamma))
    return Regressor(model.fit(features, targets - mean), mean)


FITS: tuple[Fit, ...] = (fit_forest, fit_kernel_ridge)


@dataclass(frozen=True)
class RowPrior:
    """`out_of_fold`: (n_rows, n_columns), the prior mean of each training row as if its group had not been there.

    With features: `weights` (n_regressors, n_components) of the `regressors`, that predict coordinates along `components`; and which
    rows are neighbours, because they fall into the same leaves of the `forest` (Breiman's proximity): `leaves` (n_rows, n_trees);
    `trust` in [0, 1]: how much of the probability the neighbours share, the rest is everybody's.
    """

    mean: Floats
    out_of_fold: Floats
    encode: Encoder | None = None
    regressors: tuple[Regressor, ...] = ()
    components: Any = None
    weights: Any = None
    forest: Any = None
    leaves: Ints | None = None
    trust: float = 0.0

    def __call__(self, features: pd.DataFrame | None) -> Floats:
        """Prior mean (n_rows, n_columns) of new rows; without features the mean of the training rows, (1, n_columns)."""
        if features is None or self.encode is None:
            return self.mean[None].repeat(1 if features is None else len(features), 0)
        encoded = self.encode(features)
        predicted = np.array([regressor(encoded) for regressor in self.regressors])
        return self.mean + np.einsum("rnp,rp->np", predicted, self.weights) @ self.components

    def likely_rows(self, features: pd.DataFrame | None) -> Floats:
        """How probable each training row is as a model of the new one, (n_rows,), sum 1; all alike without features."""
        known = features is not None and self.encode is not None
        return self._likely(self.forest.apply(self.encode(features))[0] if known else None)  # type: ignore[misc,arg-type]

    def likely_as(self, row: int) -> Floats:
        """The same for one of the training rows, itself among them."""
        return self._likely(None if self.leaves is None else self.leaves[row])

    def _likely(self, leaves: Ints | None) -> Floats:
        n_rows = len(self.out_of_fold)
        if leaves is None:
            return np.full(n_rows, 1 / n_rows)
        shared = (leaves == self.leaves).mean(1)
        return (1 - self.trust) / n_rows + self.trust * shared / shared.sum()


def fit_row_prior(values: Floats, groups: Ints, features: pd.DataFrame | None, seed: int) -> RowPrior:
    """Learns from whole rows `values` (n_rows, n_columns) on any scale; relatives share a number in `groups` (n_rows,).

    The regressors predict the rows' principal components; how far each is trusted is decided by non-negative least squares
    over predictions for groups left out, so features that say nothing end as the plain mean.
    """
    n_groups = len(np.unique(groups))
    encode = fit_encoder(features) if features is not None and n_groups >= _FEWEST_GROUPS else None
    if encode is None or features is None:
        return _without_features(values, groups)
    mean, encoded = values.mean(0), encode(features)
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
    forest = _forest(encoded, targets, seed, smallest_leaf=5)  # larger, so that every row has some neighbours
    return RowPrior(
        mean=mean,
        out_of_fold=rest + np.einsum("rnp,rp->np", deviations, weights) @ components,
        encode=encode,
        regressors=tuple(fit(encoded, targets, seed) for fit in FITS),
        components=components,
        weights=weights,
        forest=forest,
        leaves=forest.apply(encoded),
        trust=explained * n_groups / (n_groups + _GROUPS_FOR_HALF_TRUST),
    )


def _without_features(values: Floats, groups: Ints) -> RowPrior:
    """The plain mean; out of fold that of all rows but the group's own."""
    own = groups[:, None] == groups
    rest = np.where(own.all(1, keepdims=True), True, ~own).astype(float)
    others = rest @ values / rest.sum(1, keepdims=True)
    return RowPrior(values.mean(0), others)


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
