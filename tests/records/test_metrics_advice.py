"""Which metric to trust: right on the counts of real sets, at the borders, and where nothing is known."""

from __future__ import annotations

import pytest

from lib.records.metrics_advice import advised_metric
from lib.records.schema import METRICS, Task


@pytest.mark.parametrize(
    ("task", "counts", "n_images", "metric", "because"),
    [
        ("classification", (60, 40), 100, "accuracy", "60 %"),
        ("classification", (100, 50), 150, "accuracy", "nearly even"),
        ("classification", (101, 50), 151, "balanced_accuracy", "smallest (50 images)"),
        ("classification", (347, 12), 359, "auroc", "right for 97 % of the images, and a threshold on 12"),
        ("classification", (500, 50, 60), 610, "balanced_accuracy", "82 %"),
        ("classification", (501, 50, 60), 611, "macro_f1", "smallest class (50 images)"),
        ("classification", (5, 0, 5), 10, "accuracy", "50 %"),
        ("classification", (), 10, "accuracy", "nothing is known"),
        ("segmentation", (50,), 399, "defect_dice", "87 %"),
        ("segmentation", (100,), 100, "dice", "only 0 %"),
        ("segmentation", (60, 70, 65), 72, "miou", "only 10 %"),
        ("segmentation", (0, 0), 10, "dice", "nothing is known"),
    ],
)
def test_the_numbers_decide(
    task: Task, counts: tuple[int, ...], n_images: int, metric: str, because: str
) -> None:
    found, reason = advised_metric(task, counts, n_images)
    assert found == metric and found in METRICS[task] and because in reason and reason.count(". ") == 0
