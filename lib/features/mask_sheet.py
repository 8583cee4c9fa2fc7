"""What a table of masks tells of a data set whose images are not at hand."""

from __future__ import annotations

from lib.datasets.base import DataSet
from lib.datasets.masks_alone import HEIGHT_PX, WIDTH_PX
from lib.features.analysis import Analysis, analysis_of_masks
from lib.features.conclusions import conclusions_of
from lib.frozen import Frozen
from lib.records.metrics_advice import advised_metric
from lib.records.schema import DataSetFacts


class MaskSheet(Frozen):
    """`counts`: class and images that hold it, among the `images` that have a defect at all."""

    name: str
    images: int
    counts: tuple[tuple[str, int], ...]
    analysis: Analysis

    @property
    def head(self) -> str:
        """What was looked at, and what was not."""
        return (
            f"{self.name}: a table of masks without images: {self.images} images with a defect, taken for "
            f"{HEIGHT_PX}×{WIDTH_PX}; those without one are not in it"
        )


def mask_sheet(data_set: DataSet) -> MaskSheet:
    """The sheet of a set of masks alone."""
    counts = tuple(zip(data_set.classes, data_set.class_counts(), strict=True))
    metric, reason = advised_metric("segmentation", [n for _, n in counts], len(data_set))
    facts = DataSetFacts(
        name=data_set.name, domain="unknown", task="segmentation", trusted_metric=metric, trusted_because=reason
    )  # fmt: skip
    analysis = analysis_of_masks(data_set)
    told = conclusions_of(facts, counts, (0, 0), analysis)
    analysis = analysis.model_copy(update={"conclusions": told})
    return MaskSheet(name=data_set.name, images=len(data_set), counts=counts, analysis=analysis)
