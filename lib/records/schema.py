"""What a run leaves behind: one frozen record, and the facts of the data set it ran on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

SCHEMA_VERSION = 1

Status = Literal["finished", "failed", "incompatible"]
Task = Literal["classification", "segmentation"]
WeightsOrigin = Literal["weights_dir", "cache", "hub", "random", "none"]

PRIMARY_METRIC: dict[Task, str] = {"classification": "accuracy", "segmentation": "dice"}


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataSetInfo(_Frozen):
    """The data set of a run. `name` is the folder's name plus its views, e.g. `neu_cls@train10`."""

    name: str
    domain: str
    task: Task
    fingerprint: str = Field(description="hash of the images, labels and masks that the run saw")
    split_hash: str
    classes: tuple[str, ...]
    n_images: int
    n_train: int
    n_validation: int
    n_test: int
    class_counts: tuple[int, ...] = Field(
        description="images a class (segmentation: images that hold the class)"
    )
    procedural: bool = False
    parent: str | None = Field(
        None, description="the original set this one derives from; None for an original"
    )
    derivation: str | None = Field(
        None, description="how it derives, e.g. 'train10', 'binary', 'patches size=224'"
    )


class BackboneInfo(_Frozen):
    """The feature extractor of a run, as timm names it."""

    name: str
    family: str
    parameters: int
    embedding_width: int
    input_size_px: int
    flops: float = Field(description="multiply-accumulates of one image at input_size_px; 0 for no network")
    pretraining_data: str
    pretraining_method: str
    weights_origin: WeightsOrigin
    weights_hash: str


class HeadInfo(_Frozen):
    """What turns features into answers."""

    name: str
    parameters: int


class Recipe(_Frozen):
    """Everything besides data set, backbone, head and seed that changes the result.

    `options` holds what only some heads know (distillation temperature, neighbours, iterations, …).
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    finetune: bool = False
    precision: str = "fp32"
    optimizer: str = "adamw"
    schedule: str = "cosine"
    image_height_px: int = 0
    image_width_px: int = 0
    options: dict[str, float | int | str] = {}


class EpochEntry(_Frozen):
    """One epoch: losses, learning rate, every metric. No choice is ever made on the test part; it is only recorded."""

    epoch: int = Field(ge=1)
    train_loss: float | None = None
    learning_rate: float | None = None
    validation: dict[str, float] = {}
    test: dict[str, float] = {}


EPOCH_PARTS = ("validation", "test")


def columns_of_epochs(epochs: Sequence[EpochEntry]) -> dict[str, Any]:
    """Epochs as one list a metric, None where an epoch lacks it, one number where all epochs agree.

    On disk this is a third of the size of one dict an epoch.
    """
    scalars = {name: [getattr(entry, name) for entry in epochs] for name in ("train_loss", "learning_rate")}
    columns: dict[str, Any] = {"epoch": [entry.epoch for entry in epochs]}
    columns |= {
        name: column for name, column in scalars.items() if any(value is not None for value in column)
    }
    for part in EPOCH_PARTS:
        metrics = dict.fromkeys(metric for entry in epochs for metric in getattr(entry, part))
        columns[part] = {
            metric: _collapsed([getattr(entry, part).get(metric) for entry in epochs]) for metric in metrics
        }
    return columns


def _collapsed(column: list[float | None]) -> list[float | None] | float | None:
    return column[0] if len(set(column)) == 1 else column


def epochs_of_columns(columns: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The inverse of `columns_of_epochs`, as plain values for validation; raises ValueError for columns that do not fit."""
    epochs = columns.get("epoch", [])
    parts = {
        part: {m: _expanded(c, len(epochs)) for m, c in columns.get(part, {}).items()} for part in EPOCH_PARTS
    }
    scalars = {
        name: _expanded(column, len(epochs)) for name, column in columns.items() if name not in EPOCH_PARTS
    }
    lengths = {
        len(column) for column in [*scalars.values(), *(c for part in parts.values() for c in part.values())]
    }
    if len(lengths) > 1:
        raise ValueError(f"the columns of the epochs have different lengths: {sorted(lengths)}")
    return [
        {name: column[index] for name, column in scalars.items()}
        | {
            part: {metric: column[index] for metric, column in metrics.items() if column[index] is not None}
            for part, metrics in parts.items()
        }
        for index in range(len(epochs))
    ]


def _expanded(column: Any, length: int) -> list[Any]:
    return column if isinstance(column, list) else [column] * length


CLASS_COLUMN = "class"


def columns_of_classes(per_class: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Metrics a class as one list a metric, beside the list of classes; None where a class lacks the metric."""
    metrics = dict.fromkeys(metric for values in per_class.values() for metric in values)
    columns: dict[str, Any] = {CLASS_COLUMN: list(per_class)}
    return columns | {metric: [values.get(metric) for values in per_class.values()] for metric in metrics}


def classes_of_columns(columns: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """The inverse of `columns_of_classes`; raises ValueError for columns that do not fit."""
    names = columns[CLASS_COLUMN]
    metrics = {metric: column for metric, column in columns.items() if metric != CLASS_COLUMN}
    if any(len(column) != len(names) for column in metrics.values()):
        raise ValueError("the columns of the classes have different lengths")
    return {
        name: {metric: column[index] for metric, column in metrics.items() if column[index] is not None}
        for index, name in enumerate(names)
    }


class FinalMetrics(_Frozen):
    """The test part after the last epoch."""

    metrics: dict[str, float]
    per_class: dict[str, dict[str, float]] = {}
    confusion: tuple[tuple[int, ...], ...] | None = Field(
        None, description="rows true, columns predicted, images"
    )

    @field_validator("per_class", mode="before")
    @classmethod
    def _classes_of_columns(cls, value: Any) -> Any:
        as_columns = isinstance(value, dict) and isinstance(value.get(CLASS_COLUMN), list)
        return classes_of_columns(value) if as_columns else value


class Timing(_Frozen):
    """Seconds. `features_s` is what computing the features costs once, also when they came from the cache."""

    features_s: float = 0.0
    training_s: float = 0.0
    evaluation_s: float = 0.0


class Latency(_Frozen):
    """Milliseconds a batch, preprocessing left out, backbone and head together."""

    batch1_median_ms: float
    batch1_p95_ms: float
    batch32_median_ms: float
    batch32_p95_ms: float


class Environment(_Frozen):
    """Where a run ran; never part of its key."""

    device: str
    threads: int
    versions: dict[str, str]
    project_version: str
    peak_memory_mb: float = 0.0
    started_at: str = ""


class RunRecord(_Frozen):
    """One pair on one data set with one recipe and one seed."""

    schema_version: int = SCHEMA_VERSION
    key: str
    status: Status
    reason: str | None = None
    data_set: DataSetInfo
    backbone: BackboneInfo
    head: HeadInfo
    recipe: Recipe
    seed: int
    epochs: tuple[EpochEntry, ...] = ()
    final: FinalMetrics | None = None
    timing: Timing = Timing()
    latency: Latency | None = None
    environment: Environment
    notes: tuple[str, ...] = Field(
        (), description="what the run had to do, e.g. 'batch halved to 32: out of memory'"
    )

    @field_validator("epochs", mode="before")
    @classmethod
    def _rows_of_columns(cls, value: Any) -> Any:
        return epochs_of_columns(value) if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _complete(self) -> RunRecord:
        if self.status == "finished" and (self.final is None or not self.epochs):
            raise ValueError("a finished run needs its epochs and its final metrics")
        if self.status != "finished" and not self.reason:
            raise ValueError(f"a {self.status} run needs a reason")
        return self

    @property
    def metric_name(self) -> str:
        """Primary metric of the task: accuracy, or mean Dice."""
        return PRIMARY_METRIC[self.data_set.task]

    def quality(self, epoch: int | None = None) -> float | None:
        """Primary metric on the test part after `epoch` (default: the last), in [0, 1]; None where it was not measured.

        A run stopped early keeps its last value for later epochs only if it planned that many.
        """
        if self.status != "finished" or not self.epochs:
            return None
        entry = self.epochs[-1]
        if epoch is not None:
            if epoch > self.recipe.epochs:
                return None
            entry = next((e for e in reversed(self.epochs) if e.epoch <= epoch), self.epochs[0])
        return entry.test.get(self.metric_name)


def run_key(data_set: DataSetInfo, backbone: BackboneInfo, head: str, recipe: Recipe, seed: int) -> str:
    """Hash (16 hex digits) of what decides a run's result: same key, same numbers."""
    deciding: dict[str, Any] = {
        "fingerprint": data_set.fingerprint,
        "split": data_set.split_hash,
        "task": data_set.task,
        "classes": data_set.classes,
        "backbone": [backbone.name, backbone.weights_hash],
        "head": head,
        "recipe": recipe.model_dump(mode="json"),
        "seed": seed,
        "schema": SCHEMA_VERSION,
    }
    return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()[:16]


class DataSetFacts(_Frozen):
    """A data set's card and meta-features: what is known of it without its images. Kept beside its runs."""

    schema_version: int = SCHEMA_VERSION
    name: str
    domain: str
    task: Task
    description: str = ""
    licence: str = ""
    classes: tuple[str, ...] = ()
    procedural: bool = False
    parent: str | None = None
    derivation: str | None = None
    fingerprint: str = ""
    meta_features: dict[str, float] = Field(
        {}, description="name → value; a feature that does not apply is left out"
    )
    landmarks: dict[str, float] = Field(
        {}, description="cheap probes (issue: landmarks); empty when not probed"
    )
