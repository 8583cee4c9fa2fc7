"""The fact sheet of a data set: its card, parts, classes, sizes, defects and meta-features on one page."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from lib.datasets.base import DataSet
from lib.datasets.perceptual import connected_groups, near_duplicate_pairs
from lib.features.meta import MAX_IMAGES, data_set_facts
from lib.records.schema import DataSetFacts

_PARTS = ("train", "validation", "test")


class ClassFacts(BaseModel):
    """One class: images in all and a part; for masks the mean and largest share of the image it covers where it is."""

    model_config = ConfigDict(frozen=True)

    name: str
    images: int
    train: int
    validation: int
    test: int
    area_share_mean: float | None = None
    area_share_max: float | None = None


class FactSheet(BaseModel):
    """What `dataset.py describe` says. Sizes are height×width in pixels, commonest first."""

    model_config = ConfigDict(frozen=True)

    facts: DataSetFacts
    folder: str
    images: int
    train: int
    validation: int
    test: int
    split_hash: str
    images_without_defect: int | None = None
    sizes: tuple[tuple[str, int], ...]
    classes: tuple[ClassFacts, ...]
    near_duplicate_groups: int
    near_duplicate_images: int
    looked_at: int


def fact_sheet(data_set: DataSet, near_duplicate_bits: int) -> FactSheet:
    """The fact sheet of a loaded data set; unused files of a view are left out."""
    used = np.flatnonzero(data_set.parts != "unused")
    assert data_set.hashes is not None and data_set.sizes is not None, "a loaded data set has them"
    hashes = data_set.hashes[used]
    groups = np.bincount(connected_groups(len(used), near_duplicate_pairs(hashes, near_duplicate_bits)))
    counted = Counter(f"{h}×{w}" for h, w in data_set.sizes[used].tolist())
    areas = data_set.mask_areas
    return FactSheet(
        facts=data_set_facts(data_set),
        folder=str(data_set.root),
        images=len(used),
        train=len(data_set.indices("train")),
        validation=len(data_set.indices("validation")),
        test=len(data_set.indices("test")),
        split_hash=data_set.split_hash,
        images_without_defect=None if areas is None else int((~areas[used].any(axis=1)).sum()),
        sizes=tuple(counted.most_common()),
        classes=tuple(_class_facts(data_set, k) for k in range(len(data_set.classes))),
        near_duplicate_groups=int((groups > 1).sum()),
        near_duplicate_images=int(groups[groups > 1].sum()),
        looked_at=min(len(used), MAX_IMAGES),
    )


def members(data_set: DataSet, k: int) -> npt.NDArray[np.int64]:
    """Positions of the used images with class `k`: labelled so, or with a pixel of it in their mask."""
    used = data_set.parts != "unused"
    if data_set.task == "segmentation" and data_set.mask_areas is not None:
        return np.flatnonzero(used & (data_set.mask_areas[:, k] > 0))
    assert data_set.labels is not None
    return np.flatnonzero(used & (data_set.labels == k))


def _class_facts(data_set: DataSet, k: int) -> ClassFacts:
    positions = members(data_set, k)
    counts = {part: int((data_set.parts[positions] == part).sum()) for part in _PARTS}
    shares = None
    if data_set.task == "segmentation" and data_set.mask_areas is not None and len(positions):
        assert data_set.sizes is not None
        shares = data_set.mask_areas[positions, k] / data_set.sizes[positions].prod(axis=1)
    return ClassFacts(
        name=data_set.classes[k],
        images=len(positions),
        **counts,
        area_share_mean=None if shares is None else float(shares.mean()),
        area_share_max=None if shares is None else float(shares.max()),
    )
