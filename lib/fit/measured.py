"""The test part, measured once: metrics with their intervals, a class each, the confusion matrix, and every prediction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lib.datasets import DataSet
from lib.files import csv_text, write_atomically
from lib.fit.choice import tempered
from lib.fit.refit import Member
from lib.inference import predict_folder
from lib.records import FinalMetrics
from lib.records.intervals import interval
from lib.records.schema import Metric
from lib.zoo.metrics import Judge

PREDICTIONS = "predictions.csv"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """`answers` (n_test, n_classes) of the handed-over model to the test part, None for masks."""

    final: FinalMetrics
    n_test: int
    classes: tuple[str, ...]
    answers: Floats | None

    def told(self, metric: Metric) -> dict[str, Any]:
        """As fit.json has it."""
        value, low, high = self.value(metric)
        per_class = {
            name: {**values, "n": round(values.get("support", 0))}
            for name, values in self.final.per_class.items()
        }
        return {
            "metric": metric,
            "value": value,
            "low": low,
            "high": high,
            "n_test": self.n_test,
            "metrics": self.final.metrics,
            "per_class": per_class,
            "confusion": self.final.confusion or (),
            "classes": self.classes,
        }

    def value(self, metric: Metric) -> tuple[float | None, float | None, float | None]:
        """The metric and its 95 % interval over other test images."""
        value = self.final.metrics.get(metric)
        if value is None:
            return None, None, None
        if metric in self.final.interval:
            return value, *self.final.interval[metric]
        return value, *interval(value, self.final.standard_error.get(metric))


def combined(answers: Sequence[Floats], temperatures: Sequence[float]) -> Floats:
    """What the handed-over model makes of its members' probabilities (n, n_classes)."""
    mean = np.mean(
        [tempered(one, t) for one, t in zip(answers, temperatures[: len(answers)], strict=True)], axis=0
    )
    return tempered(mean, temperatures[-1])


def measure(members: Sequence[Member], temperatures: Sequence[float], data_set: DataSet) -> Measured:
    """On the test part of `data_set`, which no member has seen."""
    n_test = int((data_set.parts == "test").sum())
    if data_set.task == "segmentation":
        return Measured(members[0].result.final, n_test, data_set.classes, None)
    given = [np.asarray(one.result.answers, dtype=np.float64) for one in members]
    answers = combined(given, temperatures)
    return Measured(Judge.of(data_set).final(answers), n_test, data_set.classes, answers)


def write_predictions(out: Path, data_set: DataSet, measured: Measured, model: Path) -> Path:
    """predictions.csv of the test part: of classes as `measured`; masks are asked of the written model, image by image."""
    rows = data_set.indices("test")
    lines = (
        _class_rows(data_set, rows, measured.answers)
        if measured.answers is not None
        else _mask_rows(data_set, rows, predict_folder.Model(model))
    )
    write_atomically(out / PREDICTIONS, csv_text(lines))
    return out / PREDICTIONS


def _class_rows(
    data_set: DataSet, rows: npt.NDArray[np.int64], answers: Floats
) -> Iterator[Sequence[object]]:
    assert data_set.labels is not None
    yield "file", "label", "class", "confidence", *(f"probability of {name}" for name in data_set.classes)
    for i, given in zip(rows.tolist(), answers, strict=True):
        best = int(given.argmax())
        shown = [round(float(p), 6) for p in given]
        yield (
            data_set.files[i],
            data_set.classes[data_set.labels[i]],
            data_set.classes[best],
            shown[best],
            *shown,
        )


def _mask_rows(
    data_set: DataSet, rows: npt.NDArray[np.int64], model: predict_folder.Model
) -> Iterator[Sequence[object]]:
    assert data_set.mask_areas is not None
    yield "file", "class", "area_px", "true area_px"
    for i in rows.tolist():
        masks, _, _ = model.masks(predict_folder.read(data_set.root / data_set.files[i]))
        for k, name in enumerate(data_set.classes):
            yield data_set.files[i], name, int(masks[k].sum()), int(data_set.mask_areas[i, k])
