"""Run records in, completed quality matrix out: what `als.py train` computes."""

from __future__ import annotations

from dataclasses import dataclass

import lib.performance_prediction.completers  # noqa: F401  registers the rivals
from lib.config import Settings
from lib.performance_prediction.als.explicit import OnSweep
from lib.performance_prediction.als.matrix import quality_matrix
from lib.performance_prediction.als.zoo_completion import ZooCompletion, complete_zoo
from lib.performance_prediction.als.zoo_completion_files import CompletionReport, report_of
from lib.performance_prediction.boosting.evidence import gather_evidence
from lib.records import BrokenRecord, RecordStore
from lib.records.schema import Task


@dataclass(frozen=True)
class TrainedOnRuns:
    """A completion of our own quality matrix, its report, and the files that were no records."""

    completion: ZooCompletion
    report: CompletionReport
    broken: tuple[BrokenRecord, ...]


def train_on_runs(
    settings: Settings,
    epoch: int | None = None,
    domain: str | None = None,
    task: Task | None = None,
    rank: int | None = None,
    seed: int = 0,
    on_sweep: OnSweep | None = None,
) -> TrainedOnRuns:
    """Completes the quality matrix of the records in `settings.runs_dir`; `epoch` defaults to `settings.als.epoch`.

    Raises TooLittleDataError where the runs chosen do not support a completion.
    """
    records, broken = RecordStore(settings.runs_dir).read_all()
    evidence = gather_evidence(records, epoch or settings.als.epoch, domain, task, settings.related_data_sets)
    completion = complete_zoo(quality_matrix(evidence), settings.als, rank, seed, on_sweep)
    return TrainedOnRuns(completion, report_of(completion), tuple(broken))
