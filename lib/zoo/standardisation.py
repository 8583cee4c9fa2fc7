"""Features at mean 0 and spread 1, by the statistics of the train part alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lib.errors import CvAutomlError

if TYPE_CHECKING:
    from lib.zoo.jobs import TrainingJob

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Standardisation:
    """x → (x − mean) / spread, per feature; `mean` and `spread` (width,). A constant feature becomes 0."""

    mean: Floats
    spread: Floats

    @classmethod
    def of(cls, features: Floats) -> Standardisation:
        """The statistics of `features` (n, width)."""
        spread = features.std(axis=0, dtype=np.float64)
        mean = features.mean(axis=0, dtype=np.float64)
        constant = spread <= 1e-6 * np.maximum(np.abs(mean), 1e-6)
        return cls(mean.astype(np.float32), np.where(constant, 1, spread).astype(np.float32))

    def __call__(self, features: Floats) -> Floats:
        return ((features - self.mean) / self.spread).astype(np.float32, copy=False)


def features_of(job: TrainingJob) -> Floats:
    """The job's features (n_files, width); raises CvAutomlError where they are missing or not numbers, or nothing can be trained."""
    if job.features is None:
        raise CvAutomlError(f"data set '{job.data_set.name}': no features were computed for this head")
    for part in ("train", "test"):
        if not (job.data_set.parts == part).any():
            raise CvAutomlError(f"data set '{job.data_set.name}' has no images in its {part} part")
    if not np.isfinite(job.features).all():
        rows = np.flatnonzero(~np.isfinite(job.features).all(axis=1))
        raise CvAutomlError(
            f"features of '{job.backbone.info.name}' are not numbers for {len(rows)} images, "
            f"first {job.data_set.files[rows[0]]}: delete the cache folder, and try --precision fp32"
        )
    return job.features
