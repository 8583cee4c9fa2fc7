"""What a run leaves behind: one frozen record over all its folds, and the facts of the data set it ran on."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from lib.frozen import Frozen
from lib.records.columns import CLASS_COLUMN, classes_of_columns, epochs_of_columns

SCHEMA_VERSION: Literal[2] = 2

Status = Literal["finished", "failed", "incompatible"]
Task = Literal["classification", "segmentation"]
Split = Literal["folds", "own"]
CHANCE_HEAD = "naive"
"""Answers without looking: the chance line of every table, never ranked, recommended or a column."""
FINETUNED = " (fine-tuned)"


def column_of(head: str, finetune: bool) -> str:
    """The head as tables name it: a fine-tuned one is a column of its own."""
    return head + FINETUNED if finetune else head


def head_of(column: str) -> tuple[str, bool]:
    """The inverse of `column_of`: the head, and whether it is fine-tuned."""
    return column.removesuffix(FINETUNED), column.endswith(FINETUNED)


PROBE_BACKBONES = ("handcrafted", "tf_mobilenetv3_small_100", "vit_tiny_patch16_224")
PROBE_HEADS = ("linear", "knn", "catboost")
MASK_PROBE = ("tf_mobilenetv3_small_100", "linear_mask")
PROBE_S, PROBE_IMAGES = 20.0, 250
"""What a probe measures within its usual time, on how many images at most. The transformer is there for the order: the best pair is often its."""

NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]
Name = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]+$")]
"""Printable: names reach terminals and paths."""

Metric = Literal["accuracy", "balanced_accuracy", "macro_f1", "auroc", "dice", "defect_dice", "miou"]
Part = Literal["validation", "test"]
Option = float | int | str

WeightsOrigin = Literal["weights_dir", "cache", "hub", "tuned", "random", "none"]

PRIMARY_METRIC: dict[Task, Metric] = {"classification": "accuracy", "segmentation": "dice"}
METRICS: dict[Task, tuple[Metric, ...]] = {
    "classification": ("accuracy", "balanced_accuracy", "macro_f1", "auroc"),
    "segmentation": ("dice", "defect_dice", "miou"),
}
"""What can be ranked, completed and predicted: in [0, 1], higher better."""


class DataSetInfo(Frozen):
    """The data set of a run. `name` is the folder's name plus its views, e.g. `neu_cls@train10`. `n_train`, `n_validation`:
    images of the mean fold; `n_test`: images tested over all `n_folds` folds."""

    name: Name
    domain: Name
    task: Task
    fingerprint: str = Field(description="hash of the images, labels and masks that the run saw")
    split: Split = "folds"
    n_folds: int = Field(1, ge=1)
    split_hash: str
    classes: tuple[Name, ...]
    n_images: Count
    n_train: Count
    n_validation: Count
    n_test: Count
    class_counts: tuple[Count, ...] = Field(
        description="images a class (segmentation: images that hold the class)"
    )
    procedural: bool = False
    generated: bool = Field(False, description="whether the train part holds generated images")
    parent: str | None = Field(
        None, description="the original set this one derives from; None for an original"
    )
    derivation: str | None = Field(
        None, description="how it derives, e.g. 'train10', 'binary', 'patches size=224'"
    )


class BackboneInfo(Frozen):
    """The feature extractor of a run, as timm names it. Parameters and FLOPs are those of the form it is used in for inference."""

    name: Name
    family: str
    parameters: Count
    embedding_width: Count
    input_size_px: Count
    flops: NotNegative = Field(
        description="multiply-accumulates of one image at input_size_px; 0 for no network"
    )
    pretraining_data: str
    pretraining_method: str
    weights_origin: WeightsOrigin
    weights_hash: str
    input_hash: str = Field("", description="hash of size, normalisation and interpolation of its input")


class HeadInfo(Frozen):
    """What turns features into answers. `version` is raised whenever the same recipe gives other numbers."""

    name: Name
    version: int = 1
    parameters: Count


class Recipe(Frozen):
    """Everything besides data set, backbone, head and seed that changes the result. `options` holds what only some heads know
    (distillation temperature, iterations, …), `grid` the values that are tried of each setting that is chosen on validation;
    `folds` are the folds that run."""

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
    options: dict[str, Option] = {}
    grid: dict[str, tuple[Option, ...]] = {}
    folds: tuple[int, ...] = (0,)


class EpochEntry(Frozen):
    """One epoch, mean over the folds: loss, learning rate, metrics. No choice is made on the test part; it is only recorded."""

    epoch: int = Field(ge=1)
    train_loss: float | None = None
    learning_rate: float | None = None
    validation: dict[str, float] = {}
    test: dict[str, float] = {}


class FoldResult(Frozen):
    """One fold after the last epoch. `chosen`: the settings of the grid that did best on the validation part."""

    fold: int = Field(ge=0)
    n_train: int = Field(ge=0)
    n_validation: int = Field(ge=0)
    n_test: int = Field(ge=0)
    validation: dict[str, float] = {}
    test: dict[str, float]
    chosen: dict[str, Option] = {}
    batch_size: int = Field(
        0, description="what memory allowed of the recipe's; 0 where there are no batches"
    )


class GridPoint(Frozen):
    """One combination of settings that was tried; `validation`: the metric chosen by, mean over the folds."""

    settings: dict[str, Option]
    validation: float | None


class FinalMetrics(Frozen):
    """The test parts after the last epoch: means over the folds, each image tested at most once. `standard_error`: of each
    metric, from the images (and not from the folds, which share training images)."""

    metrics: dict[str, float]
    standard_error: dict[str, NotNegative] = {}
    interval: dict[str, tuple[float, float]] = Field({}, description="95 % by bootstrap over the images")
    per_class: dict[str, dict[str, float]] = {}
    confusion: tuple[tuple[Count, ...], ...] | None = Field(
        None, description="rows true, columns predicted, images"
    )

    @field_validator("per_class", mode="before")
    @classmethod
    def _classes_of_columns(cls, value: Any) -> Any:
        as_columns = isinstance(value, dict) and isinstance(value.get(CLASS_COLUMN), list)
        return classes_of_columns(value) if as_columns else value


class Timing(Frozen):
    """Seconds, over all folds. `features_s` is what computing the features of `features_images` images costs once, also when
    they came from the cache."""

    features_s: NotNegative = 0.0
    features_images: Count = 0
    training_s: NotNegative = 0.0
    evaluation_s: NotNegative = 0.0


class Latency(Frozen):
    """Milliseconds a batch, preprocessing left out, backbone and head together."""

    batch1_median_ms: NotNegative
    batch1_p95_ms: NotNegative
    batch32_median_ms: NotNegative
    batch32_p95_ms: NotNegative


class Environment(Frozen):
    """Where a run ran; never part of its key."""

    device: str
    threads: int
    versions: dict[str, str]
    project_version: str
    peak_memory_mb: float = 0.0
    started_at: str = ""


class RunRecord(Frozen):
    """One pair on one data set with one recipe and one seed, over one or more folds."""

    schema_version: Literal[2] = SCHEMA_VERSION
    key: str
    status: Status
    reason: str | None = None
    data_set: DataSetInfo
    backbone: BackboneInfo
    head: HeadInfo
    recipe: Recipe
    seed: int
    epochs: tuple[EpochEntry, ...] = ()
    folds: tuple[FoldResult, ...] = ()
    final: FinalMetrics | None = None
    grid: tuple[GridPoint, ...] = ()
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
        if self.status == "finished" and (self.final is None or not self.epochs or not self.folds):
            raise ValueError("a finished run needs its epochs, its folds and its final metrics")
        if self.status != "finished" and not self.reason:
            raise ValueError(f"a {self.status} run needs a reason")
        return self

    @property
    def metric_name(self) -> Metric:
        """Primary metric of the task: accuracy, or mean Dice."""
        return PRIMARY_METRIC[self.data_set.task]

    def quality(
        self, epoch: int | None = None, metric: Metric | None = None, part: Part = "test"
    ) -> float | None:
        """A metric (default: the primary one) after `epoch` (default: the last), mean over the folds, in [0, 1]. None where it
        was not measured. `part="validation"` is what choices are made by. A run stopped early keeps its last value for later
        epochs only if it planned that many."""
        if self.status != "finished" or not self.epochs:
            return None
        entry = self.epochs[-1]
        if epoch is not None:
            if epoch > self.recipe.epochs:
                return None
            entry = next((e for e in reversed(self.epochs) if e.epoch <= epoch), self.epochs[0])
        values: dict[str, float] = getattr(entry, part)
        return values.get(metric or self.metric_name)

    def standard_error(self, metric: Metric | None = None) -> float | None:
        """How far the mean over the folds would vary with other test images; None where it was not measured."""
        return self.final.standard_error.get(metric or self.metric_name) if self.final else None

    def fold_qualities(self, metric: Metric | None = None, part: Part = "test") -> dict[int, float]:
        """Fold → the metric on its part after the last epoch; folds where it is undefined are left out."""
        name = metric or self.metric_name
        return {f.fold: value for f in self.folds if (value := getattr(f, part).get(name)) is not None}


class DataSetFacts(Frozen):
    """A data set's card and meta-features: what is known of it without its images. Kept beside its runs."""

    schema_version: int = SCHEMA_VERSION
    name: Name
    domain: Name
    task: Task
    description: str = ""
    licence: str = ""
    classes: tuple[str, ...] = ()
    procedural: bool = False
    parent: str | None = None
    derivation: str | None = None
    fingerprint: str = ""
    split_hash: str = ""
    trusted_metric: Metric | None = Field(None, description="what to rank by; None without labels or masks")
    trusted_because: str = ""
    meta_features_version: int = 0
    meta_features: dict[str, float] = Field(
        {}, description="name → value; a feature that does not apply is left out"
    )
