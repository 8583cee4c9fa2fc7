"""The fact sheet of a data set: its card, parts, classes, sizes, defects and meta-features on one page."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from lib.datasets.base import DataSet
from lib.datasets.perceptual import connected_groups, near_duplicate_pairs
from lib.features.analysis import Analysis, analysis_of
from lib.features.conclusions import conclusions_of
from lib.features.meta import MAX_IMAGES, data_set_facts, look
from lib.frozen import Frozen
from lib.records.schema import DataSetFacts

_PARTS = ("train", "validation", "test")


class ClassFacts(Frozen):
    """One class: images in all and a part; for masks the mean and largest share of the image it covers where it is."""

    name: str
    images: int
    train: int
    validation: int
    test: int
    area_share_mean: float | None = None
    area_share_max: float | None = None


class FactSheet(Frozen):
    """What `dataset.py describe` says. Sizes are height×width in pixels, commonest first.

    `train`, `validation`, `test`, `split_hash`: of the set's own split. `tested`: images that each fold tests;
    `fold_train`, `fold_validation`: images of the mean fold.
    """

    facts: DataSetFacts
    folder: str
    images: int
    train: int
    validation: int
    test: int
    split_hash: str
    tested: tuple[int, ...]
    fold_train: int
    fold_validation: int
    images_without_defect: int | None = None
    sizes: tuple[tuple[str, int], ...]
    classes: tuple[ClassFacts, ...]
    near_duplicate_groups: int
    near_duplicate_images: int
    looked_at: int
    analysis: Analysis = Analysis()


def fact_sheet(data_set: DataSet, near_duplicate_bits: int) -> FactSheet:
    """The fact sheet of a loaded data set; unused files of a view are left out."""
    used, info, own = data_set.used, data_set.info(), data_set.info("own")
    assert data_set.hashes is not None and data_set.sizes is not None, "a loaded data set has them"
    hashes = data_set.hashes[used]
    groups = np.bincount(connected_groups(len(used), near_duplicate_pairs(hashes, near_duplicate_bits)))
    counted = Counter(f"{h}×{w}" for h, w in data_set.sizes[used].tolist())
    areas = data_set.mask_areas
    sample = look(data_set, MAX_IMAGES, seed=0)
    facts, analysis = (
        data_set_facts(data_set, sample=sample),
        analysis_of(data_set, sample, near_duplicate_bits),
    )
    classes = tuple(_class_facts(data_set, k) for k in range(len(data_set.classes)))
    alike = int(groups[groups > 1].sum()), int((groups > 1).sum())
    counts = [(one.name, one.images) for one in classes]
    conclusions = conclusions_of(facts, counts, alike, analysis)
    return FactSheet(
        facts=facts,
        folder=str(data_set.root),
        images=len(used),
        train=own.n_train,
        validation=own.n_validation,
        test=own.n_test,
        split_hash=own.split_hash,
        tested=tuple(int((parts == "test").sum()) for parts in data_set.folds),
        fold_train=info.n_train,
        fold_validation=info.n_validation,
        images_without_defect=None if areas is None else int((~areas[used].any(axis=1)).sum()),
        sizes=tuple(counted.most_common()),
        classes=classes,
        near_duplicate_images=alike[0],
        near_duplicate_groups=alike[1],
        looked_at=min(len(used), MAX_IMAGES),
        analysis=analysis.model_copy(update={"conclusions": conclusions}),
    )


def members(data_set: DataSet, k: int) -> npt.NDArray[np.int64]:
    """Positions of the used images with class `k`: labelled so, or with a pixel of it in their mask."""
    if data_set.task == "segmentation" and data_set.mask_areas is not None:
        return data_set.used[data_set.mask_areas[data_set.used, k] > 0]
    assert data_set.labels is not None
    return data_set.used[data_set.labels[data_set.used] == k]


def _class_facts(data_set: DataSet, k: int) -> ClassFacts:
    positions = members(data_set, k)
    counts = {part: int((data_set.parts[positions] == part).sum()) for part in _PARTS}
    facts = ClassFacts(name=data_set.classes[k], images=len(positions), **counts)
    if data_set.task != "segmentation" or data_set.mask_areas is None or not len(positions):
        return facts
    assert data_set.sizes is not None
    shares = data_set.mask_areas[positions, k] / data_set.sizes[positions].prod(axis=1)
    return facts.model_copy(
        update={"area_share_mean": float(shares.mean()), "area_share_max": float(shares.max())}
    )
