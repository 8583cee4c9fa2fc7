"""One setting, several values, everything else alike: the same cells run once a value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from lib.benchmark.engines import Running, run_prepared
from lib.benchmark.listening import Listener
from lib.benchmark.prepare import PreparedSweep, prepared
from lib.benchmark.selection import Request, find_data_sets
from lib.config import Settings
from lib.errors import ConfigError
from lib.records import RunRecord
from lib.records.schema import Task
from lib.zoo.augmentation import IMAGE_ONLY
from lib.zoo.losses import NAMES

SCHEDULES = ("cosine", "constant", "linear", "step")
UPSCALES = ("bicubic", "bilinear", "lanczos", "learned")
ON_IMAGES = ("augmentation", "loss", "schedule", "sampling", "tta")
"""What only means something where the network sees images while it trains."""

WEIGHTS = {
    "pretrained frozen": ("pretrained", False),
    "random frozen": ("random", False),
    "pretrained fine-tuned": ("pretrained", True),
    "random fine-tuned": ("random", True),
}


@dataclass(frozen=True)
class Variant:
    """One value of what is varied, and the sweep that measures it."""

    value: str
    settings: Settings
    sweep: PreparedSweep


def variants(
    over: str, values: Sequence[str], request: Request, settings: Settings, skip_failed: bool = False
) -> Iterator[Variant]:
    """A sweep for each value: those given, or all that are known of `augmentation`, `loss`, `schedule`, `sampling`, `tta`,
    `upscale` and `weights` (with fine-tuning). `over` may be any setting by its name, e.g. `finetune.layer_decay`.

    Raises ConfigError where there is no such setting, no values, or the data sets are of different tasks.
    """
    tasks = {one.task for one in find_data_sets(request.data_sets, settings)[0]}
    if len(tasks) != 1:
        raise ConfigError("an ablation needs data sets of one task: classes or masks")
    task = tasks.pop()
    if over in ON_IMAGES and task == "classification":
        request = replace(request, finetune=True)
    for value in values or _all_values(over, task, settings):
        changed, asked = settings, request
        if over == "weights":
            kind, finetune = _weights(value)
            changed, asked = settings.override(weights=kind), replace(request, finetune=finetune)
        else:
            changed = settings.with_value(f"{_setting(over, task)}={value}")
        yield Variant(value, changed, prepared(asked, changed, skip_failed=skip_failed))


def run_variant(variant: Variant, listener: Listener) -> list[RunRecord]:
    """The records of one value; those that exist are not run again."""
    done = [planned.record for planned in variant.sweep.plan.cells if planned.record]
    return [*done, *run_prepared(variant.sweep, variant.settings, listener, None, Running()).records]


def _weights(value: str) -> tuple[str, bool]:
    if value not in WEIGHTS:
        raise ConfigError(f"weights '{value}': expected one of {'; '.join(WEIGHTS)}")
    return WEIGHTS[value]


def _setting(over: str, task: Task) -> str:
    """The name of the setting; a name without a dot is one of the task's own training."""
    own = "finetune" if task == "classification" else "segmentation"
    return f"{own}.{over}" if over in ON_IMAGES else over


def _all_values(over: str, task: Task, settings: Settings) -> Sequence[str]:
    if over == "augmentation":
        return [
            name
            for name, steps in settings.augmentations.items()
            if task == "classification" or not any(step.keys() & set(IMAGE_ONLY) for step in steps)
        ]
    kind = "classes" if task == "classification" else settings.segmentation.masks
    known: dict[str, Sequence[str]] = {
        "loss": NAMES[kind],
        "schedule": SCHEDULES,
        "sampling": ("natural", "balanced"),
        "tta": ("none", "flips", *(("crops",) if task == "classification" else ())),
        "upscale": UPSCALES,
        "weights": tuple(WEIGHTS),
    }
    if over not in known:
        raise ConfigError(f"--over {over}: say which values with --value, e.g. --value 1 --value 0.8")
    return known[over]
