"""What an export is worth: how far its answers are from torch's, how long they take, and what they are right about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lib.datasets import DataSet
from lib.errors import CvAutomlError
from lib.inference.masks import BATCH, Answer, Floats, PostProcessing, window_map
from lib.inference.models import KeptModel
from lib.inference.onnx_file import OnnxModel
from lib.records import Latency
from lib.records.schema import METRICS
from lib.zoo.latency import BATCH_SIZES, measure
from lib.zoo.metrics import labels_of, ranking_metrics
from lib.zoo.preprocessing import SizedImages

RANDOM_IMAGES = 16
LATENCY_BUDGET_S = 4.0

Truth = npt.NDArray[Any]
"""Labels (n,) or masks (n, n_classes, h, w)."""


@dataclass(frozen=True)
class Form:
    """One form of a model. `difference`: largest absolute one from torch's probabilities. `latency`: None where the machine was
    never quiet or nobody asked. `metrics`: on the test part, where there is a data set."""

    name: str
    size_mb: float
    difference: float
    latency: Latency | None
    metrics: dict[str, float]


class Examples:
    """Images to compare on: those of the data set's test part, on which the model never learned, or noise."""

    def __init__(self, model: KeptModel, data_set: DataSet | None) -> None:
        """Raises CvAutomlError for another data set than the model was trained on: its test part may be known to the model."""
        self.card, self.spec, self.data_set = model.card, model.card.input, data_set
        if data_set is None:
            return
        trained = self.card.data_set
        if data_set.fingerprint != trained.fingerprint:
            raise CvAutomlError(
                f"data set '{data_set.name}': the model was trained on {trained.name}, "
                "and this one has other images, labels or views"
            )
        self.data_set = data_set.fold(trained.split, self.card.fold)

    def compared(self, answer: Answer, expected: Answer) -> tuple[float, dict[str, float]]:
        """The largest absolute difference of two ways of answering, and the metrics of the first."""
        judge = _MaskJudge(self.card) if self.card.answers_masks else _ClassJudge()
        differences = []
        for given, wanted, truth in self._both(answer, expected):
            differences.append(float(np.abs(given - wanted).max()))
            if truth is not None:
                judge.see(given, truth)
        largest = max(differences) if np.isfinite(differences).all() else float("inf")
        if self.data_set is None or not np.isfinite(largest):
            return largest, {}
        metrics = judge.metrics()
        return largest, {name: metrics[name] for name in METRICS[self.card.data_set.task] if name in metrics}

    def _both(self, answer: Answer, expected: Answer) -> Iterator[tuple[Floats, Floats, Truth | None]]:
        """Both answers to a batch, and its truth where it is known."""
        if self.data_set is None:
            shape = (RANDOM_IMAGES, self.spec.height_px, self.spec.width_px, 3)
            noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
            for batch in np.split(noise, range(BATCH, RANDOM_IMAGES, BATCH)):
                yield answer(batch), expected(batch), None
        elif self.card.works_on_windows:
            yield from self._of_windows(self.data_set, answer, expected)
        else:
            sized, rows = SizedImages(self.data_set, self.spec), self.data_set.indices("test")
            for some in np.split(rows, range(BATCH, len(rows), BATCH)):
                truth = sized.masks(some) if self.card.answers_masks else labels_of(self.data_set)[some]
                images = sized.images(some)
                yield answer(images), expected(images), truth

    def _of_windows(
        self, data_set: DataSet, answer: Answer, expected: Answer
    ) -> Iterator[tuple[Floats, Floats, Truth]]:
        from lib.zoo.segmentation.crops import Windows

        windows = Windows(data_set, self.spec, "tiles", seed=0)
        for index in data_set.indices("test").tolist():
            image, masks = windows.whole(index)
            given, wanted = (window_map(self.card, image, one)[None] for one in (answer, expected))
            yield given, wanted, masks[None]


class _ClassJudge:
    """Collects probabilities and labels, and ranks."""

    def __init__(self) -> None:
        self.seen: list[tuple[Floats, Truth]] = []

    def see(self, probabilities: Floats, truth: Truth) -> None:
        self.seen.append((probabilities, truth))

    def metrics(self) -> dict[str, float]:
        probabilities, labels = (np.concatenate(part) for part in zip(*self.seen, strict=True))
        return ranking_metrics(labels, probabilities.astype(np.float64))


class _MaskJudge:
    """Counts pixels after post-processing, at the size the network works at."""

    def __init__(self, card: Any) -> None:
        self.post_processing = PostProcessing.of(card)
        self.seen: list[Any] = []

    def see(self, probabilities: Floats, truth: Truth) -> None:
        from lib.zoo.segmentation.metrics import PixelCounts

        size = truth.shape[-2:]
        masks = np.stack([self.post_processing.masks(one, *size)[0] for one in probabilities])
        self.seen.append(PixelCounts.of(torch.from_numpy(masks), torch.from_numpy(truth)))

    def metrics(self) -> dict[str, float]:
        from lib.zoo.segmentation.metrics import PixelCounts, mask_metrics

        return mask_metrics(PixelCounts.joined(self.seen, len(self.post_processing.thresholds)))


def examined(
    model: KeptModel, name: str, path: Path | None, examples: Examples, with_latency: bool = True
) -> Form:
    """One form of the model: an ONNX file, or with `path` None torch itself."""
    answer: Answer = model.probabilities
    size = sum(value.nbytes for value in model.network.state_dict().values())
    if path:
        opened, size = OnnxModel.opened(path), path.stat().st_size
        answer = lambda images: opened.probabilities(images, model.card.input)  # noqa: E731
    difference, metrics = examples.compared(answer, model.probabilities)
    shape = (max(BATCH_SIZES), model.card.input.height_px, model.card.input.width_px, 3)
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    latency = measure(lambda n: answer(noise[:n]), LATENCY_BUDGET_S) if with_latency else None
    return Form(name, size / 2**20, difference, latency, metrics)
