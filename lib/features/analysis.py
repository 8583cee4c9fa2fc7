"""What is in a data set beyond its counts: light of each class, size and place of defects, classes that meet, labels that clash."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from lib.datasets.annotations import components
from lib.datasets.base import DataSet
from lib.datasets.derived import NO_DEFECT
from lib.datasets.groups import near_duplicates
from lib.datasets.perceptual import connected_groups
from lib.features.augmentation_tests import AugmentationTest, augmentation_tests
from lib.features.defects import shrunk
from lib.features.meta import Sample, first_by_hash
from lib.frozen import Frozen

MOST_TESTED = 600
MOST_MASKS = 200
PLACES = 12


class ClassLight(Frozen):
    """Mean grey (0…1) of the images of a class that were looked at, and its spread between them; of masks the dominant class."""

    name: str
    images: int
    mean: float
    spread: float


class DefectSizes(Frozen):
    """Connected defects of a class on the images looked at: share of the image, 10th, 50th and 90th percentile."""

    name: str
    defects: int
    small: float
    median: float
    large: float


class Conflict(Frozen):
    """Images that look alike and have different labels: `files` and their `classes`, in the same order."""

    files: tuple[str, ...]
    classes: tuple[str, ...]


class Analysis(Frozen):
    """`light_ratio`: share of the variance of brightness that lies between classes (η², 0…1). `together`: images that hold class
    i and class j (masks; the diagonal counts each class). `places`: how much of a 12×12 grid's fields defects cover on the mean
    image with a defect. `conflicts`: groups of near-duplicates with more than one label. Empty or None where it does not apply."""

    light: tuple[ClassLight, ...] = ()
    light_ratio: float | None = None
    together: tuple[tuple[int, ...], ...] = ()
    sizes: tuple[DefectSizes, ...] = ()
    places: tuple[tuple[float, ...], ...] = ()
    masks_looked_at: int = 0
    conflicts: tuple[Conflict, ...] = ()
    augmentations: tuple[AugmentationTest, ...] = ()
    conclusions: tuple[str, ...] = ()


def analysis_of(data_set: DataSet, sample: Sample, near_duplicate_bits: int) -> Analysis:
    """The analysis of a loaded data set, without its conclusions; at most 600 images and 200 masks are read for it."""
    light, ratio = _light(sample)
    sizes, places, n_masks = _defects(data_set, sample.seed)
    labels = sample.labels
    chosen = first_by_hash(data_set, data_set.used, MOST_TESTED, sample.seed)
    return Analysis(
        light=light,
        light_ratio=ratio,
        together=_together(data_set),
        sizes=sizes,
        places=places,
        masks_looked_at=n_masks,
        conflicts=_conflicts(data_set, near_duplicate_bits),
        augmentations=() if labels is None else augmentation_tests(data_set, chosen, labels),
    )


def _light(sample: Sample) -> tuple[tuple[ClassLight, ...], float | None]:
    if sample.labels is None:
        return (), None
    names = (
        sample.data_set.classes
        if sample.data_set.labels is not None
        else (NO_DEFECT, *sample.data_set.classes)
    )
    values = sample.appearance[:, sample.descriptors.index("brightness")]
    labels = sample.labels[sample.indices]
    found = [
        ClassLight(name=name, images=len(own), mean=float(own.mean()), spread=float(own.std()))
        for k, name in enumerate(names)
        if len(own := values[labels == k])
    ]
    total = float(((values - values.mean()) ** 2).sum())
    between = sum(one.images * (one.mean - float(values.mean())) ** 2 for one in found)
    return tuple(found), between / total if total > 1e-12 and len(found) > 1 else None


def _together(data_set: DataSet) -> tuple[tuple[int, ...], ...]:
    if data_set.task != "segmentation" or data_set.mask_areas is None:
        return ()
    there = (data_set.mask_areas[data_set.used] > 0).astype(np.int64)
    return tuple(tuple(row) for row in (there.T @ there).tolist())


def _defects(
    data_set: DataSet, seed: int
) -> tuple[tuple[DefectSizes, ...], tuple[tuple[float, ...], ...], int]:
    areas = data_set.mask_areas
    if data_set.read_mask is None or areas is None:
        return (), (), 0
    with_defect = data_set.used[areas[data_set.used].any(axis=1)]
    chosen = first_by_hash(data_set, with_defect, MOST_MASKS, seed)
    sizes: list[list[float]] = [[] for _ in data_set.classes]
    places = np.zeros((PLACES, PLACES))
    for index in chosen.tolist():
        masks = shrunk(data_set.read_mask(index))
        for one in components(masks):
            sizes[one.class_index].append(one.area / masks[0].size)
        places += _places(masks.any(axis=0))
    found = tuple(
        DefectSizes(name=name, defects=len(own), **dict(zip(("small", "median", "large"), np.quantile(own, (0.1, 0.5, 0.9)).tolist(), strict=True)))
        for name, own in zip(data_set.classes, sizes, strict=True)
        if own
    )  # fmt: skip
    mean = places / max(len(chosen), 1)
    return found, tuple(tuple(round(value, 5) for value in row) for row in mean.tolist()), len(chosen)


def _places(covered: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """The share of each field of a grid that is covered."""
    grid = Image.fromarray(covered.astype(np.float32)).resize((PLACES, PLACES), Image.Resampling.BOX)
    return np.asarray(grid, dtype=np.float64)


def _conflicts(data_set: DataSet, bits: int) -> tuple[Conflict, ...]:
    used, labels = data_set.used, data_set.labels
    if labels is None or data_set.hashes is None:
        return ()
    groups = connected_groups(len(used), near_duplicates(data_set.hashes[used], bits))
    found = []
    for group in np.flatnonzero(np.bincount(groups) > 1):
        members = used[groups == group]
        if len(np.unique(labels[members])) > 1:
            names = tuple(data_set.classes[k] for k in labels[members])
            found.append(Conflict(files=tuple(data_set.files[i] for i in members), classes=names))
    return tuple(found)
