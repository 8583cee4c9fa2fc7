"""Heads that do not learn in steps: the one answer they have is their entry of every epoch."""

from __future__ import annotations

from lib.records import EpochEntry
from lib.zoo.heads.base import TrainingJob
from lib.zoo.metrics import Probabilities, measured_epoch


def constant_epochs(job: TrainingJob, probabilities: Probabilities) -> tuple[EpochEntry, ...]:
    """The same measured entry for each epoch of the recipe, so that `--epoch` means something for every head."""
    entry = measured_epoch(job.data_set, 1, probabilities)
    entries = tuple(entry.model_copy(update={"epoch": epoch + 1}) for epoch in range(job.recipe.epochs))
    for one in entries:
        job.on_epoch(one)
    return entries
