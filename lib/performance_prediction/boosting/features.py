"""What CatBoost is told of a run: the data set, its description, backbone, head, recipe, and the pair's ALS embeddings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from lib.frozen import Frozen
from lib.performance_prediction.als.explicit import AlsModel, fit_als, supported_rank
from lib.performance_prediction.als.matrix import QualityMatrix, quality_matrix
from lib.performance_prediction.boosting.cells import Pair, pair_of
from lib.performance_prediction.boosting.evidence import Evidence
from lib.records import BackboneInfo, DataSetFacts
from lib.registry import Registry

TEXT_FEATURES = ("description",)
CATEGORICAL_FEATURES = ("backbone_family", "pretraining_data", "pretraining_method", "head")
EMBEDDING_RANK = 2
EMBEDDING_REGULARISATION = 0.01
EMBEDDING_SWEEPS = 30

Value = float | str


class PairFacts(Frozen):
    """What is known of a pair before it meets a data set. `head_parameters`: median over its runs."""

    backbone: BackboneInfo
    head: str
    head_parameters: float
    epochs: int
    embeddings: dict[str, float] = {}

    @property
    def pair(self) -> Pair:
        """Its name."""
        return Pair(self.backbone.name, self.head)


class Row(NamedTuple):
    """One line of the table: a pair on a data set. `known`: what the cells known of the set say, by name."""

    facts: DataSetFacts
    pair: PairFacts
    known: Mapping[str, float] = {}


FEATURE_GROUPS: Registry[Callable[[Row], dict[str, Value]]] = Registry("group of features")


@FEATURE_GROUPS.register("data_set")
def _data_set(row: Row) -> dict[str, Value]:
    return {f"set_{name}": value for name, value in row.facts.meta_features.items()}


@FEATURE_GROUPS.register("text")
def _text(row: Row) -> dict[str, Value]:
    return {"description": f"{row.facts.domain} {row.facts.description}".strip()}


@FEATURE_GROUPS.register("backbone")
def _backbone(row: Row) -> dict[str, Value]:
    backbone = row.pair.backbone
    return {
        "backbone_family": backbone.family,
        "backbone_parameters_log10": float(np.log10(1 + backbone.parameters)),
        "backbone_flops_log10": float(np.log10(1 + backbone.flops)),
        "embedding_width": float(backbone.embedding_width),
        "input_size_px": float(backbone.input_size_px),
        "pretraining_data": backbone.pretraining_data,
        "pretraining_method": backbone.pretraining_method,
    }


@FEATURE_GROUPS.register("head")
def _head(row: Row) -> dict[str, Value]:
    return {"head": row.pair.head, "head_parameters_log10": float(np.log10(1 + row.pair.head_parameters))}


@FEATURE_GROUPS.register("recipe")
def _recipe(row: Row) -> dict[str, Value]:
    return {"epochs": float(row.pair.epochs)}


@FEATURE_GROUPS.register("embeddings")
def _embeddings(row: Row) -> dict[str, Value]:
    """The pair's side only: a data set that nobody has run has no row of its own to be embedded by."""
    return dict(row.pair.embeddings)


@FEATURE_GROUPS.register("known")
def _known(row: Row) -> dict[str, Value]:
    return {f"known_{name}": value for name, value in row.known.items()}


def pair_facts(evidence: Evidence) -> dict[Pair, PairFacts]:
    """Facts of each pair that has a cell, with ALS embeddings from this evidence alone."""
    runs = defaultdict(list)
    for run in evidence.runs:
        runs[pair_of(run)].append(run)
    embeddings = embed_pairs(evidence)
    return {
        pair: PairFacts(
            backbone=runs[pair][0].backbone,
            head=pair.head,
            head_parameters=float(np.median([run.head.parameters for run in runs[pair]])),
            epochs=max(run.recipe.epochs for run in runs[pair]),
            embeddings=embeddings[pair],
        )
        for pair in evidence.pairs
    }


def embed_pairs(evidence: Evidence) -> dict[Pair, dict[str, float]]:
    """Biases and factors of each pair's backbone and head from ALS on the quality matrix, and what ALS says of the pair."""
    matrix = quality_matrix(evidence)
    model = embed_matrix(matrix)
    completed = np.clip(model.predict(), 0, 1)
    rows = {name: i for i, name in enumerate(matrix.backbones)}
    columns = {name: j for j, name in enumerate(matrix.heads)}
    embedded = {}
    for pair in evidence.pairs:
        i, j = rows[pair.backbone], columns[pair.head]
        embedded[pair] = {
            "als_backbone_bias": float(model.row_biases[i]),
            "als_head_bias": float(model.column_biases[j]),
            "als_quality": float(completed[i, j]),
            **{f"als_backbone_{k}": float(x) for k, x in enumerate(model.row_factors[i])},
            **{f"als_head_{k}": float(y) for k, y in enumerate(model.column_factors[j])},
        }
    return embedded


def embed_matrix(matrix: QualityMatrix) -> AlsModel:
    """ALS of the rank that gives the embeddings, less where the cells do not support it."""
    rank = min(EMBEDDING_RANK, supported_rank(matrix.values))
    return fit_als(matrix.values, rank, EMBEDDING_REGULARISATION, EMBEDDING_SWEEPS)


def feature_frame(
    rows: Sequence[Row], leave_out: Collection[str] = (), columns: Sequence[str] | None = None
) -> pd.DataFrame:
    """One line a row, one column a feature, groups in `leave_out` missing; text and categories as str, numbers NaN where unknown.

    `columns` fixes which features and in which order (those of a trained model).
    """
    groups = [FEATURE_GROUPS[name] for name in FEATURE_GROUPS if name not in leave_out]
    frame = pd.DataFrame([{k: v for group in groups for k, v in group(row).items()} for row in rows])
    wanted = list(columns) if columns is not None else sorted(frame.columns)
    words = [name for name in wanted if name in TEXT_FEATURES + CATEGORICAL_FEATURES]
    kinds = {name: str if name in words else float for name in wanted}
    return frame.reindex(columns=wanted).astype(kinds)
