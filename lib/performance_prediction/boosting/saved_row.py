"""A row model on disk: what it says of a data set that nothing is measured on, read without what it was fitted with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from lib.performance_prediction.boosting import contract
from lib.performance_prediction.boosting.cells import Pair
from lib.performance_prediction.boosting.contract import Derived, Floats, KnownCells
from lib.performance_prediction.boosting.evidence import Evidence
from lib.performance_prediction.table.scales import Scale
from lib.records import DataSetFacts

if TYPE_CHECKING:
    from lib.performance_prediction.boosting.row_model import FittedRowModel


class SavedRowModel(Derived, contract.FittedSetPredictor):
    """The prior of a FittedRowModel as `arrays`, empty where no feature led its `mean` (n_pairs,); both on `scale`.

    A forest: `roots` (n_trees,) among the nodes, of each the `left` and `right` child (-1: none), `feature`, `threshold` and
    `leaves` (n_nodes, n_components). Kernel ridge: `quantiles` (n_rows, n_features), `ranks` of the training rows, `dual`. What the
    two say times `weights` (2, n_components) times `components` (n_components, n_pairs) is added to the mean.
    """

    kind: ClassVar[str] = "row_model"

    pairs: tuple[Pair, ...]
    level: float
    scale: Scale
    mean: list[float]
    features: tuple[str, ...] = ()
    arrays: dict[str, Any] = {}

    @classmethod
    def of(cls, fitted: FittedRowModel, evidence: Evidence) -> SavedRowModel:
        """What `fitted` learnt from `evidence`, but for what known cells tell."""
        from lib.performance_prediction.boosting.row_model import meta_features

        prior, known = fitted.model.prior, meta_features(evidence)
        known = known.loc[:, known.nunique(dropna=False) > 1]
        gaps = {"medians": known.median(), "gaps": known.isna().any()}
        arrays = {**gaps, **_arrays(prior)} if prior.regressors else {}
        return cls(
            **Derived.stamp(evidence),
            pairs=fitted.pairs,
            level=fitted.level,
            scale=fitted.model.training.scale,
            mean=prior.mean.tolist(),
            features=tuple(known.columns) if arrays else (),
            arrays={name: np.asarray(array).tolist() for name, array in arrays.items()},
        )

    def predict(self, facts: DataSetFacts, pairs: Sequence[Pair], known: KnownCells) -> Floats:
        """Known cells tell it nothing."""
        expected = np.array(self.mean)
        values = np.array([facts.meta_features.get(name, np.nan) for name in self.features])
        if np.isfinite(values).any():
            arrays = {name: np.asarray(array) for name, array in self.arrays.items()}
            unknown = np.isnan(values)
            line = np.r_[np.where(unknown, arrays["medians"], values), unknown[arrays["gaps"]]]
            said = np.array([_forest(line, arrays), _kernel_ridge(line, arrays)])
            expected += (said * arrays["weights"]).sum(0) @ arrays["components"]
        by_pair = dict(zip(self.pairs, self.scale.backward(expected).tolist(), strict=True))
        return np.array([by_pair.get(pair, self.level) for pair in pairs])


def _arrays(prior: Any) -> dict[str, Any]:
    """The components that some regressor is trusted for."""
    forest, (ranks, ridge) = prior.regressors[0].model, (s for _, s in prior.regressors[1].model.steps)
    trees = [tree.tree_ for tree in forest.estimators_]
    starts = np.cumsum([0, *(tree.node_count for tree in trees)])
    trusted = prior.weights.any(axis=0)

    def children(name: str) -> Floats:
        own = [getattr(tree, name) for tree in trees]
        return np.concatenate([np.where(c < 0, -1, c + s) for c, s in zip(own, starts[:-1], strict=True)])

    return {
        "weights": prior.weights[:, trusted],
        "components": prior.components[trusted],
        "roots": starts[:-1],
        "left": children("children_left"),
        "right": children("children_right"),
        "feature": np.concatenate([np.maximum(tree.feature, 0) for tree in trees]),
        "threshold": np.concatenate([tree.threshold for tree in trees]),
        "leaves": np.concatenate([tree.value[:, trusted, 0] for tree in trees]),
        "quantiles": ranks.quantiles_,
        "gamma": ridge.gamma,
        "ranks": ridge.X_fit_,
        "dual": ridge.dual_coef_[:, trusted],
        "kernel_mean": prior.regressors[1].mean[trusted],
    }


def _forest(line: Floats, arrays: dict[str, Any]) -> Floats:
    nodes, single = arrays["roots"], line.astype(np.float32)
    while (inner := arrays["left"][nodes] >= 0).any():
        below = single[arrays["feature"][nodes]] <= arrays["threshold"][nodes]
        nodes = np.where(inner, np.where(below, arrays["left"][nodes], arrays["right"][nodes]), nodes)
    return arrays["leaves"][nodes].mean(axis=0)


def _kernel_ridge(line: Floats, arrays: dict[str, Any]) -> Floats:
    """Ranks as scikit-learn's QuantileTransformer gives them, a Gaussian kernel over their distances."""
    levels = np.linspace(0, 1, len(arrays["quantiles"]))
    places = [_rank(x, known, levels) for x, known in zip(line, arrays["quantiles"].T, strict=True)]
    squares = np.square(arrays["ranks"] - places).sum(axis=1)
    return arrays["kernel_mean"] + np.exp(-arrays["gamma"] * squares) @ arrays["dual"]


def _rank(value: float, known: Floats, levels: Floats) -> float:
    if value in (known[0], known[-1]):
        return float(value != known[0])
    return float(np.interp(value, known, levels) - np.interp(-value, -known[::-1], -levels[::-1])) / 2
