"""What an export is worth: how far its answers are from torch's, how long they take, and what they are right about."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from lib.datasets import DataSet
from lib.errors import CvAutomlError
from lib.inference.masks import PostProcessing
from lib.inference.models import KeptModel
from lib.inference.onnx_file import OnnxModel
from lib.records import Latency
from lib.zoo.base import Image
from lib.zoo.latency import BATCH_SIZES, measure
from lib.zoo.metrics import labels_of, ranking_metrics
from lib.zoo.preprocessing import Indices, SizedImages

BATCH = 8
RANDOM_IMAGES = 16
LATENCY_BUDGET_S = 4.0

Answer = Callable[[Image], npt.NDArray[np.float32]]
"""uint8 images (n, height_px, width_px, 3) → probabilities."""


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
        card = model.card
        self.data_set, self.spec, self.card = data_set, card.input, card
        if data_set is None:
            return
        if data_set.fingerprint != card.data_set.fingerprint:
            trained = f"the model was trained on {card.data_set.name}"
            raise CvAutomlError(
                f"data set '{data_set.name}': {trained}, and this one has other images, labels or views"
            )
        self.data_set = data_set.fold(card.data_set.split, card.fold)
        self.sized = SizedImages(self.data_set, card.input)
        self.rows = self.data_set.indices("test")

    def batches(self) -> Iterator[tuple[Image, Indices | None]]:
        """Images with their positions in the data set, None for noise."""
        shape = (self.spec.height_px, self.spec.width_px, 3)
        if self.data_set is None:
            noise = np.random.default_rng(0).integers(0, 256, (RANDOM_IMAGES, *shape), dtype=np.uint8)
            yield from ((noise[i : i + BATCH], None) for i in range(0, RANDOM_IMAGES, BATCH))
            return
        for start in range(0, len(self.rows), BATCH):
            rows = self.rows[start : start + BATCH]
            yield self.sized.images(rows), rows

    def compared(self, answer: Answer, expected: Answer) -> tuple[float, dict[str, float]]:
        """The largest absolute difference of two ways of answering, and the metrics of the first."""
        largest, judge = 0.0, self._judge()
        for images, rows in self.batches():
            given = answer(images)
            difference = np.abs(given - expected(images)).max()
            # Not a number is further off than any number.
            largest = max(largest, float(difference)) if np.isfinite(difference) else float("inf")
            if rows is not None:
                judge.see(given, rows)
        return largest, judge.metrics() if self.data_set is not None and np.isfinite(largest) else {}

    def _judge(self) -> ClassJudge | MaskJudge:
        return (MaskJudge if self.card.answers_masks else ClassJudge)(self)


class ClassJudge:
    """Collects probabilities, and ranks."""

    def __init__(self, examples: Examples) -> None:
        self.examples = examples
        self.seen: list[npt.NDArray[np.float32]] = []

    def see(self, probabilities: npt.NDArray[np.float32], rows: Indices) -> None:
        """One batch."""
        self.seen.append(probabilities)

    def metrics(self) -> dict[str, float]:
        """Of all that was seen."""
        assert self.examples.data_set is not None
        labels = labels_of(self.examples.data_set)[self.examples.rows]
        return ranking_metrics(labels, np.concatenate(self.seen).astype(np.float64))


class MaskJudge:
    """Counts pixels after post-processing, at the size the network sees."""

    def __init__(self, examples: Examples) -> None:
        from lib.zoo.segmentation.metrics import PixelCounts

        self.examples, self.count = examples, PixelCounts
        self.post_processing = PostProcessing.of(examples.card)
        self.seen: list[PixelCounts] = []

    def see(self, probabilities: npt.NDArray[np.float32], rows: Indices) -> None:
        """One batch."""
        size = probabilities.shape[-2:]
        masks = np.stack([self.post_processing.masks(one, *size)[0] for one in probabilities])
        truth = self.examples.sized.masks(rows)
        self.seen.append(self.count.of(torch.from_numpy(masks), torch.from_numpy(truth)))

    def metrics(self) -> dict[str, float]:
        """Of all that was seen."""
        from lib.zoo.segmentation.metrics import mask_metrics

        return mask_metrics(self.count.joined(self.seen))


def examined(
    model: KeptModel, name: str, path: Path | None, examples: Examples, with_latency: bool = True
) -> Form:
    """One form of the model: an ONNX file, or with `path` None torch itself."""
    answer: Answer = model.probabilities
    if path:
        opened = OnnxModel.opened(path)
        answer = lambda images: opened.probabilities(images, model.card.input)  # noqa: E731
        size = path.stat().st_size
    else:
        size = sum(value.nbytes for value in model.network.state_dict().values())
    difference, metrics = examples.compared(answer, model.probabilities)
    shape = (max(BATCH_SIZES), model.card.input.height_px, model.card.input.width_px, 3)
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    latency = measure(lambda n: answer(noise[:n]), LATENCY_BUDGET_S) if with_latency else None
    return Form(name, size / 2**20, difference, latency, metrics)
