"""What `fit` was asked for: a folder, a budget, and what the model may cost."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lib.errors import CvAutomlError
from lib.records.schema import METRICS, PRIMARY_METRIC, Metric, Task


@dataclass(frozen=True)
class Request:
    """`budget_s` seconds in all. `max_latency_ms`: of one image on this machine; `max_parameters`: of all members together; None:
    no limit. `backbones`: only these, () for all whose weights are at hand. `test_fold`: None for the set's own test part, else
    the last fold."""

    folder: str
    out: Path
    budget_s: float
    max_latency_ms: float | None = None
    max_parameters: int | None = None
    metric: Metric | None = None
    seed: int = 0
    finetune: bool = True
    backbones: tuple[str, ...] = ()
    test_fold: int | None = None

    def metric_of(self, task: Task) -> Metric:
        """The metric asked for, else the task's usual one; raises CvAutomlError for one of the other task."""
        metric = self.metric or PRIMARY_METRIC[task]
        if metric not in METRICS[task]:
            known = ", ".join(METRICS[task])
            raise CvAutomlError(f"--metric {metric} is none of {task}: expected one of {known}")
        return metric
