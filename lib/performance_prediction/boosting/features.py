"""What CatBoost is told of a run: the data set, its description, backbone, head, recipe, and the pair's ALS embeddings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lib.frozen import Frozen
from lib.performance_prediction.als.explicit import AlsModel, fit_als, supported_rank
from lib.performance_prediction.als.matrix import QualityMatrix, quality_matrix
from lib.performance_prediction.boosting.cells import Pair, pair_of
from lib.performance_prediction.boosting.evidence import Evidence
from lib.records import BackboneInfo, DataSetFacts

if TYPE_CHECKING:
    import pandas as pd

TEXT_FEATURES = ("description",)
CATEGORICAL_FEATURES = ("backbone_family", "pretraining_data", "pretraining_method", "head")
EMBEDDING_RANK = 2
EMBEDDING_REGULARISATION = 0.01
EMBEDDING_SWEEPS = 30


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


def _backbone(row: Row) -> dict[str, float | str]:
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


FEATURE_GROUPS: dict[str, Callable[[Row], Mapping[str, float | str]]] = {
    "data_set": lambda row: {f"set_{name}": value for name, value in row.facts.meta_features.items()},
    "text": lambda row: {"description": f"{row.facts.domain} {row.facts.description}".strip()},
    "backbone": _backbone,
    "head": lambda row: {
        "head": row.pair.head,
        "head_parameters_log10": float(np.log10(1 + row.pair.head_parameters)),
    },
    "recipe": lambda row: {"epochs": float(row.pair.epochs)},
    # The pair's side only: a data set that nobody has run has no row of its own to be embedded by.
    "embeddings": lambda row: row.pair.embeddings,
    "known": lambda row: {f"known_{name}": value for name, value in row.known.items()},
}


def pair_facts(evidence: Evidence) -> dict[Pair, PairFacts]:
    """Facts of each pair that has a cell, with ALS embeddings from this evidence alone."""
    runs = defaultdict(list)
    for run in evidence.runs:
        runs[pair_of(run)].append(run)
    embeddings = _embed_pairs(evidence)
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


def _embed_pairs(evidence: Evidence) -> dict[Pair, dict[str, float]]:
    """Biases and factors of each pair's backbone and head from ALS on the quality matrix, and what ALS says of the pair."""
    matrix = quality_matrix(evidence)
    model = embed_matrix(matrix)
    completed = np.clip(model.predict(), 0, 1)
    embedded = {}
    for pair in evidence.pairs:
        i, j = matrix.backbones.index(pair.backbone), matrix.heads.index(pair.head)
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
    import pandas as pd

    groups = [group for name, group in FEATURE_GROUPS.items() if name not in leave_out]
    frame = pd.DataFrame([{k: v for group in groups for k, v in group(row).items()} for row in rows])
    wanted = sorted(frame.columns) if columns is None else list(columns)
    words = TEXT_FEATURES + CATEGORICAL_FEATURES
    return frame.reindex(columns=wanted).astype({name: str if name in words else float for name in wanted})


def run_table(evidence: Evidence) -> pd.DataFrame:
    """Features of each finished run whose data set has facts, with `data_set`, `family`, `backbone`, `seed` and `quality`."""
    import pandas as pd

    runs = [run for run in evidence.runs if run.data_set.name in evidence.facts]
    pairs = pair_facts(evidence)
    frame = feature_frame([Row(evidence.facts[run.data_set.name], pairs[pair_of(run)]) for run in runs])
    names = [
        (run.data_set.name, evidence.families[run.data_set.name], run.backbone.name, run.seed) for run in runs
    ]
    own = pd.DataFrame(names, columns=["data_set", "family", "backbone", "seed"])
    quality = pd.DataFrame({"quality": [evidence.quality(run) for run in runs]})
    return pd.concat([own, frame, quality], axis=1)
