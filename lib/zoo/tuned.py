"""What a self-supervised tuning leaves in the zoo: a backbone `B+ssl@D` with its own weights, and where it comes from."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from lib.config import Settings
from lib.errors import WeightsError
from lib.frozen import Frozen
from lib.records.schema import Option, Split

MARK = "+ssl@"
METHOD = "dino"
TRANSDUCTIVE = " (transductive)"


class TunedEpoch(Frozen):
    """One epoch of self-distillation: means over its batches, the diagnostics of collapse in nats and shares.

    `teacher_entropy`: of the teacher's answer to one view; `spread_entropy`: of its mean answer; their difference is the
    information that an answer holds of its image, 0 after a collapse. `embedding_spread`: root mean square distance of the
    normalised embeddings from their mean, 0 where all are equal, at most 1.
    """

    epoch: int
    loss: float
    teacher_entropy: float
    spread_entropy: float
    embedding_spread: float
    seconds: float


class Tuning(Frozen):
    """Everything that decides a tuning's result: with the same one an interrupted tuning goes on."""

    backbone: str
    weights_hash: str
    data_set: str
    family: str = Field(description="the original set that `data_set` derives from, or itself")
    images_fingerprint: str
    split: Split
    split_hash: str
    transductive: bool
    train: str
    epochs: int
    seed: int
    options: dict[str, Option]


class Tuned(Frozen):
    """The part of a weights card that tells of a tuning. `base_*`: what was tuned."""

    tuning: Tuning
    base_origin: str
    base_data: str
    base_method: str
    n_images: int
    trained_parameters: int
    curve: tuple[TunedEpoch, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def data(self) -> str:
        """What the backbone has seen, for its record."""
        return f"{self.base_data}, {self.tuning.data_set}"

    @property
    def method(self) -> str:
        """How it came to its weights, for its record."""
        how = f"{METHOD} on {self.tuning.data_set}, {self.tuning.epochs} epochs, {self.tuning.train}"
        random = " from random weights" if self.base_origin == "random" else ""
        return how + random + TRANSDUCTIVE * self.tuning.transductive


def tuned_name(backbone: str, data_set: str) -> str:
    """What a backbone is called after it was tuned on a data set."""
    return f"{backbone}{MARK}{data_set}"


def is_tuned(name: str) -> bool:
    """Whether a backbone's name is that of a tuned one."""
    return MARK in name


def base_name(name: str) -> str:
    """What was tuned; the name itself of a backbone that is as it was pretrained."""
    return name.partition(MARK)[0]


def tuned_names(settings: Settings) -> list[str]:
    """The tuned backbones that lie in tuned_dir."""
    return sorted(p.name.removesuffix(".yaml") for p in settings.tuned_dir.glob(f"*{MARK}*.yaml"))


def tuned_files(name: str, settings: Settings) -> tuple[Path, Path]:
    """(weights, card) of a tuned backbone, whether they are there or not; raises WeightsError for a name that leads elsewhere."""
    base, _, data_set = name.partition(MARK)
    if not base or not data_set or Path(name).name != name:
        raise WeightsError(f"'{name}' is no tuned backbone's name: expected BACKBONE{MARK}DATA_SET")
    return settings.tuned_dir / f"{name}.safetensors", settings.tuned_dir / f"{name}.yaml"
