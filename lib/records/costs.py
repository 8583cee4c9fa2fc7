"""What a cell costs in seconds, learned from records: medians over the runs of one device, never mixed over devices."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
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
        """Rates from the finished records that ran on `device`. With `threads` those that used so many count; what only others
        ran is taken from them, their processor seconds shared out over `threads`."""
        here = [r for r in records if r.status == "finished" and r.environment.device == device]
        if threads is None:
            return cls._medians(here, lambda record: 1.0)
        same = cls._medians([r for r in here if r.environment.threads == threads], lambda record: 1.0)
        rest = [r for r in here if r.environment.threads != threads]
        shared = cls._medians(rest, lambda record: record.environment.threads / threads)
        return cls({**shared.features, **same.features}, {**shared.training, **same.training})

    @classmethod
    def _medians(cls, records: Iterable[RunRecord], factor: Callable[[RunRecord], float]) -> Rates:
        features: defaultdict[str, list[float]] = defaultdict(list)
        training: defaultdict[tuple[str, bool, str | None], list[float]] = defaultdict(list)
        for record in records:
            if (rate := features_rate(record)) is not None:
                features[record.backbone.name].append(factor(record) * rate)
            for backbone in (record.backbone.name, None):
                key = record.head.name, record.recipe.finetune, backbone
                training[key].append(factor(record) * training_rate(record))
        return cls({k: median(v) for k, v in features.items()}, {k: median(v) for k, v in training.items()})

    def features_s(self, backbone: str, images: int) -> float | None:
        """Seconds to compute the features of so many images once; None where that was never timed."""
        rate = self.features.get(backbone)
        return None if rate is None else rate * images

    def training_s(
        self, head: str, finetune: bool, backbone: str, train_images: int, epochs: int
    ) -> float | None:
        """Seconds to train and evaluate on `train_images` (added up over folds). A pair that never ran takes the head's median;
        fine-tuned, where the network makes the cost, its network's other heads, or the head on other networks in proportion to
        the seconds of features. None where the head never ran."""
        rate = self.training.get((head, finetune, backbone))
        if rate is None and finetune:
            rate = self._of_its_network(head, backbone) or self._of_other_networks(head, backbone)
        if rate is None:
            rate = self.training.get((head, finetune, None))
        return None if rate is None else rate * train_images * epochs

    def _of_its_network(self, head: str, backbone: str) -> float | None:
        others = {h: rate for (h, tuned, name), rate in self.training.items() if tuned and name == backbone}
        return median(rate * self._ratio(head, other) for other, rate in others.items()) if others else None

    def _ratio(self, head: str, other: str) -> float:
        """How much longer one fine-tuned head takes than another, where the same network ran both; 1 where none did."""
        of, by = (
            {name: rate for (h, tuned, name), rate in self.training.items() if h == one and tuned and name}
            for one in (head, other)
        )
        return median([of[name] / by[name] for name in of.keys() & by.keys()] or [1.0])

    def _of_other_networks(self, head: str, backbone: str) -> float | None:
        own = self.features.get(backbone)
        if own is None:
            return None
        found = [
            rate * own / self.features[name]
            for (one, tuned, name), rate in self.training.items()
            if one == head and tuned and name and name in self.features
        ]
        return median(found) if found else None


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
