"""config.yaml → one frozen settings object; `--config FILE` replaces the file, environment variables override values."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt, ValidationError, field_validator

from lib.errors import ConfigError
from lib.frozen import Frozen
from lib.registry import unknown_name
from lib.yaml_files import parsed_yaml, read_yaml

PROJECT_ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT_PREFIX = "CVAUTOML_"
DEBUG_VARIABLE = "CVAUTOML_DEBUG"
"""1: a bug shows its traceback."""
NO_SETTINGS = (DEBUG_VARIABLE, "CVAUTOML_SHARED")  # the folder of real data for the tests

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
NotNegative = Annotated[float, Field(ge=0)]


class SplitSettings(Frozen):
    """How a data set is divided: into folds, and where its own split (splits.csv) is silent."""

    folds: int = Field(5, ge=2, le=100)
    test_fraction: float = Field(0.2, gt=0, lt=1)
    validation_fraction: float = Field(0.16, ge=0, lt=1)
    near_duplicate_bits: int = Field(4, ge=0, le=64)
    seed: int = 0


class ClassificationSettings(Frozen):
    """Recipe of classification heads. Of a grid's values the first is taken where there is no validation part to choose on.
    `learning_rate`, `weight_decay`: of a head that is fine-tuned together with its backbone; without that, the grid's are
    tried."""

    epochs: int = Field(10, ge=1)
    batch_size: int = Field(32, ge=1)
    learning_rate: float = Field(3e-3, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    linear_c: tuple[Positive, ...] = Field((0.01, 1e-5, 1e-4, 1e-3, 0.1, 1.0, 10.0), min_length=1)
    mlp_learning_rates: tuple[Positive, ...] = Field((0.01, 0.003, 0.03), min_length=1)
    mlp_weight_decays: tuple[NotNegative, ...] = Field((1e-2, 1.0), min_length=1)
    mlp_dropouts: tuple[Share, ...] = Field((0.1, 0.5), min_length=1)
    distillation_temperature: float = Field(4.0, gt=0)
    distillation_weight: float = Field(0.7, ge=0, le=1)
    knn_neighbours: tuple[PositiveInt, ...] = Field((10, 1, 3, 5, 20, 40), min_length=1)
    catboost_iterations: tuple[PositiveInt, ...] = Field((100, 50, 20, 5), min_length=1)


class ImageTraining(Frozen):
    """How a network is trained on images: what fine-tuned pairs and decoders have in common. `keep`: `last`, or the metric of the
    validation part whose best epoch is kept; `patience`: epochs without a better one before training stops, 0 for never."""

    loss: tuple[str, ...] = ("cross_entropy",)
    augmentation: str = "light"
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    schedule: Literal["cosine", "constant", "linear", "step", "tanh"] = "cosine"
    warmup_epochs: int = Field(0, ge=0)
    largest_gradient: float = Field(1.0, ge=0)
    sampling: Literal["natural", "balanced"] = "natural"
    keep: str = "last"
    patience: int = Field(0, ge=0)
    tta: Literal["none", "flips", "crops"] = "none"

    @field_validator("loss", mode="before")
    @classmethod
    def _one_or_more(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


class SegmentationSettings(ImageTraining):
    """Recipe of segmentation decoders."""

    epochs: int = Field(10, ge=1)
    batch_size: int = Field(4, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    loss: tuple[str, ...] = ("bce+dice",)
    augmentation: str = "flips"
    largest_gradient: float = Field(0.0, ge=0)
    tta: Literal["none", "flips"] = "none"
    image_height_px: Literal[0] | Annotated[int, Field(ge=32)] = 0
    image_width_px: Literal[0] | Annotated[int, Field(ge=32)] = 0
    most_pixels: int = Field(102_400, ge=1024)
    input: Literal["resized", "crops", "tiles"] = "resized"
    masks: Literal["multilabel", "multiclass"] = "multilabel"
    threshold: float = Field(0.5, gt=0, lt=1)
    tuned_for: Literal["both", "dice", "defect_dice"] = "both"


class FinetuneSettings(ImageTraining):
    """What --finetune changes in a recipe. `layer_decay`: each layer's share of the learning rate of the one above it."""

    learning_rate: float = Field(1e-4, gt=0)
    batch_size: int = Field(16, ge=1)
    layer_decay: float = Field(0.8, gt=0, le=1)
    class_weights: Literal["none", "balanced"] = "none"


class SslSettings(Frozen):
    """Recipe of `zoo.py ssl`, DINO's self-distillation (Caron et al. 2021, arXiv:2104.14294) at the size of a small data set.
    `momentum`: of the teacher, rising to 1; `local_size_px`: side of the local views; `prototypes`: width of the projection."""

    batch_size: int = Field(16, ge=2)
    learning_rate: float = Field(1e-4, gt=0)
    weight_decay: float = Field(0.04, ge=0)
    final_weight_decay: float = Field(0.4, ge=0)
    momentum: float = Field(0.98, gt=0, lt=1)
    teacher_temperature: float = Field(0.04, gt=0)
    local_views: int = Field(4, ge=0, le=16)
    local_size_px: int = Field(96, ge=16)
    prototypes: int = Field(1024, ge=2)
    lora_rank: int = Field(8, ge=1)


class GeneratorSettings(Frozen):
    """Recipe of `zoo.py generate`: small images, a small model, minutes on two cores."""

    size_px: int = Field(32, ge=16, le=128, multiple_of=8)
    batch_size: int = Field(32, ge=2)
    learning_rate: float = Field(1e-3, gt=0)


class AlsSettings(Frozen):
    """Defaults of `als.py train`."""

    epoch: int = Field(5, ge=1)
    rank: int = Field(4, ge=1)
    sweeps: int = Field(50, ge=1)


class Settings(Frozen):
    """Every global value of the project. Folders are absolute after loading."""

    runs_dir: Path = Path("data/runs")
    out_dir: Path = Path("data/als")
    datasets_dir: Path = Path("datasets")
    cache_dir: Path = Path(".cache")
    models_dir: Path = Path("data/models")
    keep_models: bool = False
    cache_size_gb: float = Field(20, gt=0)
    weights_dir: Path | None = None
    tuned_dir: Path = Path("data/tuned")
    weights: Literal["pretrained", "random"] = "pretrained"
    upscale: Literal["bilinear", "bicubic", "lanczos", "learned"] | None = None
    device: str = "auto"
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    threads: int = Field(0, ge=0)
    split: SplitSettings = SplitSettings()
    classification: ClassificationSettings = ClassificationSettings()
    segmentation: SegmentationSettings = SegmentationSettings()
    finetune: FinetuneSettings = FinetuneSettings()
    ssl: SslSettings = SslSettings()
    generator: GeneratorSettings = GeneratorSettings()
    augmentations: dict[str, tuple[dict[str, dict[str, Any]], ...]] = Field(
        default_factory=lambda: _committed("augmentations"),
        validate_default=True,
        description="name → torchvision.transforms.v2 by name",
    )
    recipes: dict[str, dict[str, Any]] = Field(
        default_factory=lambda: _committed("recipes"),
        validate_default=True,
        description="name → settings it changes",
    )
    als: AlsSettings = AlsSettings()
    related_data_sets: tuple[tuple[str, ...], ...] = Field(
        (), description="originals from one source: relatives never stand on both sides of an evaluation"
    )

    def override(self, **values: Any) -> Settings:
        """A copy with the given values in place of its own; None means "leave as it is"; checked again."""
        given = {name: value for name, value in values.items() if value is not None}
        return _validated({**self.model_dump(), **given}, "command line")

    def with_recipe(self, name: str) -> Settings:
        """A copy with what the named recipe changes; raises ConfigError for an unknown name."""
        if name not in self.recipes:
            raise ConfigError(unknown_name("recipe", name, sorted(self.recipes)))
        return _validated(_merged(self.model_dump(), self.recipes[name]), f"recipe '{name}'")

    def with_value(self, assignment: str) -> Settings:
        """A copy with one value set by `name=value`, e.g. `finetune.loss=focal`; raises ConfigError where there is no such name."""
        name, equals, text = assignment.partition("=")
        if not equals or not name:
            raise ConfigError(f"--set {assignment}: expected name=value, e.g. finetune.loss=focal")
        value = parsed_yaml(text, f"--set {assignment}", ConfigError)
        for part in reversed(name.split(".")):
            value = {part: value}
        return _validated(_merged(self.model_dump(), value), f"--set {assignment}")


def load_settings(file: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from `file` (default: the project's config.yaml), then CVAUTOML_… variables on top. Raises ConfigError that
    names the file or variable, the field, and what was expected."""
    environment = os.environ if environment is None else environment
    path = Path(file) if file else PROJECT_ROOT / "config.yaml"
    values = read_yaml(path, ConfigError)
    settings = _validated(_with_environment(values, environment), str(path))
    base = path.resolve().parent
    folders = {
        name: base / folder
        for name in (
            *("runs_dir", "out_dir", "datasets_dir", "cache_dir"),
            *("models_dir", "weights_dir", "tuned_dir"),
        )
        if (folder := getattr(settings, name)) is not None
    }
    return settings.model_copy(update={name: folder.resolve() for name, folder in folders.items()})


def _committed(name: str) -> Any:
    return read_yaml(PROJECT_ROOT / "config.yaml", ConfigError)[name]


def _merged(values: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with `changes` in place, mapping by mapping."""
    both = {
        name: _merged(values[name], value)
        for name, value in changes.items()
        if isinstance(value, Mapping) and isinstance(values.get(name), dict)
    }
    return {**values, **changes, **both}


def _with_environment(values: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    merged = dict(values)
    for variable, text in environment.items():
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable in NO_SETTINGS:
            continue
        *parents, name = variable[len(ENVIRONMENT_PREFIX) :].lower().split("__")
        place = merged
        for parent in parents:
            if not isinstance(place.get(parent) or {}, dict):
                raise ConfigError(
                    f"{variable}: '{parent}' has no settings below it; write CVAUTOML_{parent.upper()}"
                )
            place[parent] = dict(place.get(parent) or {})
            place = place[parent]
        place[name] = parsed_yaml(text, variable, ConfigError) if text else None
    return merged


def _validated(values: dict[str, Any], origin: str) -> Settings:
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc']))}: {e['msg'].lower()} (got {e['input']!r})" for e in error.errors()
        )
        raise ConfigError(f"settings from {origin} and CVAUTOML_ variables: {problems}") from error
