"""What a cell costs in seconds, learned from records: medians over the runs of one device, never mixed over devices."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median

from lib.records.schema import RunRecord


@dataclass(frozen=True)
class Rates:
    """Seconds on one device. `features`: backbone → seconds an image. `training`: (head, finetuned, backbone) → seconds an
    image trained on and epoch, evaluation included; backbone None for the head over all backbones."""

    features: Mapping[str, float] = field(default_factory=dict)
    training: Mapping[tuple[str, bool, str | None], float] = field(default_factory=dict)

    @classmethod
    def of(cls, records: Iterable[RunRecord], device: str, threads: int | None = None) -> Rates:
        """Rates from the finished records that ran on `device` (and with `threads`, where given)."""
        features: defaultdict[str, list[float]] = defaultdict(list)
        training: defaultdict[tuple[str, bool, str | None], list[float]] = defaultdict(list)
        for record in records:
            where = record.environment
            if record.status != "finished" or where.device != device or threads not in (None, where.threads):
                continue
            if (rate := features_rate(record)) is not None:
                features[record.backbone.name].append(rate)
            for backbone in (record.backbone.name, None):
                training[record.head.name, record.recipe.finetune, backbone].append(training_rate(record))
        return cls({k: median(v) for k, v in features.items()}, {k: median(v) for k, v in training.items()})

    def features_s(self, backbone: str, images: int) -> float | None:
        """Seconds to compute the features of so many images once; None where that was never timed."""
        rate = self.features.get(backbone)
        return None if rate is None else rate * images

    def training_s(
        self, head: str, finetune: bool, backbone: str, train_images: int, epochs: int
    ) -> float | None:
        """Seconds to train and evaluate on `train_images` (added up over folds); a backbone that never ran takes the head's
        median. None where the head never ran."""
        rate = self.training.get((head, finetune, backbone), self.training.get((head, finetune, None)))
        return None if rate is None else rate * train_images * epochs


def features_rate(record: RunRecord) -> float | None:
    """Seconds of features an image; None for a run without features."""
    images = record.timing.features_images
    return record.timing.features_s / images if images and record.timing.features_s > 0 else None


def training_rate(record: RunRecord) -> float:
    """Seconds of training and evaluation an image trained on and epoch."""
    trained_on = sum(fold.n_train for fold in record.folds) * record.recipe.epochs
    return (record.timing.training_s + record.timing.evaluation_s) / max(trained_on, 1)


def usual_device(records: Iterable[RunRecord]) -> str | None:
    """The device that most finished runs ran on (ties: the first by name); None without any."""
    counts = Counter(record.environment.device for record in records if record.status == "finished")
    return min(counts, key=lambda device: (-counts[device], device), default=None)


def memory_mb(records: Iterable[RunRecord], device: str) -> dict[tuple[str, bool], float]:
    """(backbone, finetuned) → MB of main memory that its runs on a CPU `device` had taken at most when they ended, the median
    over them. An upper bound of what one needs alone: a process keeps count of the most that anything in it ever took."""
    peaks: defaultdict[tuple[str, bool], list[float]] = defaultdict(list)
    for record in records:
        where = record.environment
        if record.status == "finished" and where.device == device and where.peak_memory_mb > 0:
            peaks[record.backbone.name, record.recipe.finetune].append(where.peak_memory_mb)
    return {key: median(values) for key, values in peaks.items()}
