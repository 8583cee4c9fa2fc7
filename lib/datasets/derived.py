"""Views: another reading of a folder's images, e.g. masks as classes, or a tenth of the training images."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np
import numpy.typing as npt

from lib.config import Settings
from lib.datasets.base import DataSet
from lib.datasets.splits import seeded_order
from lib.errors import DataSetError
from lib.files import short_hash
from lib.registry import Registry, unknown_name

View = Callable[[DataSet, Settings], DataSet]

VIEWS: Registry[View] = Registry("view")
NO_DEFECT = "no_defect"
REST = "rest"
DEFECT = "defect"
_NORMAL = re.compile(
    r"(no|non|not|without|un)[_\- ]?(defect\w*|findings?|crack\w*|damage\w*|anomal\w*)|normal|ok|good|clean|healthy"
    r"|([a-z]?\d+[_\- ])?functional|intact|negative|none",
    re.IGNORECASE,
)
_SUBSET = re.compile(r"train([1-9][0-9]?)")


def apply_view(data_set: DataSet, view: str, settings: Settings) -> DataSet:
    """The view called `view` of a data set; same files in the same order, name `<name>@<view>`, parent the original. Raises
    DataSetError for an unknown view, or one that does not fit the data set."""
    if match := _SUBSET.fullmatch(view):
        seen = _part_of_train(data_set, int(match.group(1)) / 100, settings.split.seed)
    elif view in VIEWS:
        seen = VIEWS[view](data_set, settings)
    else:
        known = [*VIEWS.names(), "train10", "train30"]
        raise DataSetError(f"{data_set.name}: {unknown_name('view', view, known)}")
    return replace(
        seen,
        name=f"{data_set.name}@{view}",
        parent=data_set.parent or data_set.name,
        derivation=f"{data_set.derivation} {view}" if data_set.derivation else view,
        fingerprint=short_hash(f"{data_set.fingerprint}@{view}"),
    )


def dominant(areas: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Labels (n,) from mask areas (n, n_classes): 1 + the class with the most pixels, 0 where there are none."""
    return np.where(areas.any(axis=1), areas.argmax(axis=1) + 1, 0).astype(np.int64)


def class_label(name: str) -> str:
    """A mask class as a label beside `no_defect`: a bare number becomes `defect_<number>`."""
    return f"defect_{name}" if name.isdecimal() else name


def normal_class(classes: tuple[str, ...], counts: tuple[int, ...]) -> int:
    """The class that stands for "nothing wrong": the first with such a name (ok, normal, no_…), else the largest."""
    named = [i for i, name in enumerate(classes) if _NORMAL.fullmatch(name)]
    return named[0] if named else int(np.argmax(counts))


@VIEWS.register("defect")
def defect_or_not(data_set: DataSet, settings: Settings) -> DataSet:
    """Masks read as two classes: no_defect where the mask is empty, defect elsewhere."""
    areas = _areas(data_set, "defect")
    labels: npt.NDArray[np.bool_] = np.any(areas, axis=1)
    if labels.all() or not labels.any():
        every = "every image has" if labels.all() else "no image has"
        raise DataSetError(f"{data_set.name}: {every} a defect, so @defect has one class only; try @dominant")
    return _relabelled(data_set, (NO_DEFECT, DEFECT), labels)


@VIEWS.register("dominant")
def dominant_class(data_set: DataSet, settings: Settings) -> DataSet:
    """Masks read as the class with the largest area, no_defect where there is none; classes without images go."""
    areas = _areas(data_set, "dominant")
    labels = dominant(areas)
    names = (NO_DEFECT, *(class_label(name) for name in data_set.classes))
    present = np.unique(labels)
    if len(present) < 2:
        every = f"every image is '{names[present[0]]}'"
        raise DataSetError(f"{data_set.name}: {every}, so @dominant has one class only")
    return _relabelled(data_set, tuple(names[i] for i in present), np.searchsorted(present, labels))


@VIEWS.register("binary")
def one_against_the_rest(data_set: DataSet, settings: Settings) -> DataSet:
    """Two classes: the one that `normal_class` picks, and `rest`. Of masks: `defect`, whatever its class, and the background."""
    fewest, n = (2 if data_set.task == "segmentation" else 3), len(data_set.classes)
    if n < fewest:
        raise DataSetError(f"{data_set.name}: of {n} classes; @binary needs {fewest} or more")
    if data_set.labels is None:
        return _joined_masks(data_set)
    chosen = normal_class(data_set.classes, data_set.class_counts())
    return _relabelled(data_set, (data_set.classes[chosen], REST), data_set.labels != chosen)


def _relabelled(data_set: DataSet, classes: tuple[str, ...], labels: npt.NDArray[np.generic]) -> DataSet:
    own = labels.astype(np.int64)
    return replace(data_set, task="classification", classes=classes, labels=own, read_mask=None)


def _joined_masks(data_set: DataSet) -> DataSet:
    """One class of masks. Where classes overlap, its area counts what they share once each."""
    areas, read_mask = _areas(data_set, "binary"), data_set.read_mask

    def read(index: int) -> npt.NDArray[np.bool_]:
        assert read_mask is not None
        return np.any(read_mask(index), axis=0, keepdims=True)

    return replace(data_set, classes=(DEFECT,), read_mask=read, mask_areas=areas.sum(axis=1, keepdims=True))


def _areas(data_set: DataSet, view: str) -> npt.NDArray[np.int64]:
    if data_set.task != "segmentation" or data_set.mask_areas is None:
        raise DataSetError(f"{data_set.name}: @{view} reads masks as classes, and this set has no masks")
    return data_set.mask_areas


def _part_of_train(data_set: DataSet, fraction: float, seed: int) -> DataSet:
    """`fraction` of the train and of the validation part of every fold, class by class, one image of each at least; test stays.
    Smaller fractions are subsets of larger ones."""
    strata = dominant(_areas(data_set, "train…")) if data_set.labels is None else data_set.labels

    def thinned(parts: npt.NDArray[np.str_]) -> npt.NDArray[np.str_]:
        parts = parts.copy()
        for part, stratum in product(("train", "validation"), np.unique(strata)):
            members = np.flatnonzero((parts == part) & (strata == stratum))
            order = seeded_order(data_set.files, members, f"{seed}:subset")
            parts[order[max(1, round(fraction * len(order))) :]] = "unused"
        return parts

    return replace(data_set, parts=thinned(data_set.parts), folds=tuple(map(thinned, data_set.folds)))
