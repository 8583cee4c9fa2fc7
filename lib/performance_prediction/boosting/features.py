"""What CatBoost is told of a run: the data set, its description, backbone, head, recipe, and the pair's ALS embeddings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from lib.performance_prediction.als.explicit import AlsModel, fit_als
from lib.performance_prediction.als.matrix import QualityMatrix, quality_matrix
from lib.performance_prediction.als.zoo_completion import supported_rank
from lib.performance_prediction.boosting.evidence import Evidence, Pair, pair_of
from lib.records import BackboneInfo, DataSetFacts
from lib.registry import Registry

TEXT_FEATURES = ("description",)
CATEGORICAL_FEATURES = ("backbone_family", "pretraining_data", "pretraining_method", "head")
EMBEDDING_RANK = 2
EMBEDDING_REGULARISATION = 0.01
EMBEDDING_SWEEPS = 30

Value = float | str


@dataclass(frozen=True)
class PairFacts:
    """What is known of a pair before it meets a data set. `head_parameters`: median over its runs."""

    pair: Pair
    backbone: BackboneInfo
    head_parameters: float
    epochs: int
    embeddings: Mapping[str, float] = field(default_factory=dict)


FeatureGroup = Callable[[DataSetFacts, PairFacts], dict[str, Value]]

FEATURE_GROUPS: Registry[FeatureGroup] = Registry("group of features")


@FEATURE_GROUPS.register("data_set")
def _data_set(facts: DataSetFacts, pair: PairFacts) -> dict[str, Value]:
    return {f"set_{name}": value for name, value in facts.meta_features.items()}


@FEATURE_GROUPS.register("text")
def _text(facts: DataSetFacts, pair: PairFacts) -> dict[str, Value]:
    return {"description": f"{facts.domain} {facts.description}".strip()}


@FEATURE_GROUPS.register("backbone")
def _backbone(facts: DataSetFacts, pair: PairFacts) -> dict[str, Value]:
    backbone = pair.backbone
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
def _head(facts: DataSetFacts, pair: PairFacts) -> dict[str, Value]:
    return {"head": pair.pair.head, "head_parameters_log10": float(np.log10(1 + pair.head_parameters))}


@FEATURE_GROUPS.register("recipe")
def _recipe(facts: DataSetFacts, pair: PairFacts) -> dict[str, Value]:
    return {"epochs": float(pair.epochs)}


@FEATURE_GROUPS.register("embeddings")
def _embeddings(facts: DataSetFacts, pair: PairFacts) -> dict[str, Value]:
    """The pair's side only: a data set that nobody has run has no row of its own to be embedded by."""
    return dict(pair.embeddings)


@FEATURE_GROUPS.register("landmarks")
def _landmarks(facts: DataSetFacts, pair: PairFacts) -> dict[str, Value]:
    return {f"landmark_{name}": value for name, value in facts.landmarks.items()}


def pair_facts(evidence: Evidence) -> dict[Pair, PairFacts]:
    """Facts of each pair that has a cell, with ALS embeddings from this evidence alone."""
    runs = defaultdict(list)
    for run in evidence.runs:
        runs[pair_of(run)].append(run)
    embeddings = embed_pairs(evidence)
    return {
        pair: PairFacts(
            pair=pair,
            backbone=runs[pair][0].backbone,
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
    rows: Sequence[tuple[DataSetFacts, PairFacts]],
    leave_out: Collection[str] = (),
    columns: Sequence[str] | None = None,
) -> pd.DataFrame:
    """One line a row, one column a feature, groups in `leave_out` missing; text and categories as str, numbers NaN where unknown.

    `columns` fixes which features and in which order (those of a trained model).
    """
    groups = [FEATURE_GROUPS[name] for name in FEATURE_GROUPS if name not in leave_out]
    lines = [{k: v for group in groups for k, v in group(facts, pair).items()} for facts, pair in rows]
    frame = pd.DataFrame(lines)
    wanted = list(columns) if columns is not None else sorted(frame.columns)
    frame = frame.reindex(columns=wanted)
    words = [name for name in wanted if name in TEXT_FEATURES + CATEGORICAL_FEATURES]
    numbers = [name for name in wanted if name not in words]
    return frame.astype({**dict.fromkeys(numbers, float), **dict.fromkeys(words, str)})
