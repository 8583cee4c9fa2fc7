"""What a prediction is to write, and where it may not: known before anything heavy is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lib.errors import CvAutomlError
from lib.files import refuse_output
from lib.inference.submission import Form

PREDICTIONS_FILE = "predictions.csv"


@dataclass(frozen=True)
class Wanted:
    """What is to be written: a folder of predictions, a competition's file, or both. `form`: of a submission of masks."""

    out: Path | None = None
    submission: Path | None = None
    form: Form | None = None

    def refuse(self, folder: Path) -> None:
        """Raises CvAutomlError, before any work, where it cannot be written or lies among what is read."""
        if not self.out and not self.submission:
            raise CvAutomlError(
                "nothing to write: name a folder with --out, a CSV file with --submission, or both"
            )
        for place in filter(None, (self.out, self.submission)):
            if place.resolve().is_relative_to(folder.resolve()):
                raise CvAutomlError(f"{place} lies in {folder}, which is only read: write somewhere else")
        for file in (self.out and self.out / PREDICTIONS_FILE, self.submission):
            if file:
                refuse_output(file, ".csv", [folder])
