"""Meta-features: what a data set looks like, as named numbers, found without a network and in a few seconds."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lib.datasets.base import DataSet
from lib.datasets.derived import dominant
from lib.datasets.images import read_reduced
from lib.datasets.perceptual import near_duplicate_share
from lib.datasets.splits import seeded_order
from lib.features.appearance import AREA_PX, describe_image, look_at
from lib.features.defects import measure_defects
from lib.records.metrics_advice import advised_metric
from lib.records.schema import DataSetFacts
from lib.registry import Registry

META_FEATURES_VERSION = 2
"""Raised whenever a meta-feature of the same images gets another value; facts of another version are stale."""

MAX_IMAGES = 200
"""Images looked at by default: more change the means by less than their spread between data sets."""

_NEAR_DUPLICATE_BITS = 4
_MAX_DEFECT_IMAGES = 60


@dataclass(frozen=True)
class Sample:
    """A data set and what was seen of it: `appearance` float (n_seen, n_descriptors) and `sizes` int (n_seen, 2) of `indices`."""

    data_set: DataSet
    indices: npt.NDArray[np.int64]
    descriptors: tuple[str, ...]
    appearance: npt.NDArray[np.float64]
    grey: npt.NDArray[np.bool_]
    sizes: npt.NDArray[np.int64]
    seed: int

    @property
    def labels(self) -> npt.NDArray[np.int64] | None:
        """Labels (n,) of all files: its own, or of masks the dominant class; None where there is no truth."""
        if self.data_set.labels is not None:
            return self.data_set.labels
        areas = self.data_set.mask_areas
        return None if areas is None else dominant(areas)


FEATURE_GROUPS: Registry[Callable[[Sample], dict[str, float]]] = Registry("group of meta-features")
"""Meta-features measured together, those that apply: a decorated function is all it takes to add some."""


def data_set_facts(
    data_set: DataSet, *, max_images: int | None = None, seed: int = 0, sample: Sample | None = None
) -> DataSetFacts:
    """The card and meta-features of a data set; the same for the same images, labels, folds and seed.

    At most `max_images` (default MAX_IMAGES) used images are looked at, those whose hash of seed and name comes first;
    each is shrunk to about AREA_PX pixels. All labels and masks count: over the folds every image is trained on, and
    a new folder has no test part. A feature that does not apply is left out. `sample`: what `look` saw already. Raises
    DataSetError naming an unreadable image.
    """
    sample = sample or look(data_set, max_images or MAX_IMAGES, seed)
    features: dict[str, float] = {}
    for name in FEATURE_GROUPS:
        features |= {key: float(value) for key, value in FEATURE_GROUPS[name](sample).items()}
    card, info = data_set.card, data_set.info()
    metric, reason = advised_metric(info.task, info.class_counts, info.n_images)
    return DataSetFacts(
        name=data_set.name,
        domain=card.domain,
        task=data_set.task,
        description=card.description,
        licence=card.licence,
        classes=data_set.classes,
        procedural=card.procedural,
        parent=data_set.parent,
        derivation=data_set.derivation,
        fingerprint=data_set.fingerprint,
        split_hash=info.split_hash,
        trusted_metric=metric if info.class_counts else None,
        trusted_because=reason,
        meta_features_version=META_FEATURES_VERSION,
        meta_features={key: float(f"{value:.6g}") for key, value in features.items() if np.isfinite(value)},
    )


@FEATURE_GROUPS.register("counts")
def _counts(sample: Sample) -> dict[str, float]:
    """Images, images to train on, classes, images to train on a class; of the mean fold."""
    data_set = sample.data_set
    parts = np.stack(data_set.divisions("folds"))
    n_images, n_train = (float(mask.sum(axis=1).mean()) for mask in (parts != "unused", parts == "train"))
    values = {"n_images": n_images, "log_n_images": np.log10(n_images)}
    if n_classes := len(data_set.classes):
        values |= {
            "n_train": n_train,
            "log_n_train": np.log10(max(n_train, 1.0)),
            "n_classes": float(n_classes),
            "n_train_per_class": n_train / n_classes,
        }
    return values


@FEATURE_GROUPS.register("balance")
def _balance(sample: Sample) -> dict[str, float]:
    """How even the classes are: entropy over its maximum, shares, imbalance.

    Masks count as the class with the largest area, images without a defect as one more class.
    """
    if sample.labels is None:
        return {}
    n_classes = len(sample.data_set.classes) if sample.data_set.labels is not None else 0
    counts = np.bincount(sample.labels[sample.data_set.used], minlength=n_classes)
    share = (counts if n_classes else counts[counts > 0]) / counts.sum()
    there = share[share > 0]
    return {
        "class_entropy": abs(float((there * np.log(there)).sum())) / np.log(max(len(share), 2)),
        "majority_share": float(share.max()),
        "minority_share": float(share.min()),
        "imbalance": float(share.max() / max(share.min(), 1 / counts.sum())),
    }


@FEATURE_GROUPS.register("size")
def _size(sample: Sample) -> dict[str, float]:
    """Height and width in pixels, shape, and how much they differ between images."""
    height, width = sample.sizes[:, 0].astype(float), sample.sizes[:, 1].astype(float)
    return {
        "height_mean": float(height.mean()),
        "width_mean": float(width.mean()),
        "log_area_mean": float(np.log10(height * width).mean()),
        "aspect_mean": float((width / height).mean()),
        "aspect_spread": float((width / height).std()),
        "size_spread": float(np.sqrt(height * width).std() / np.sqrt(height * width).mean()),
    }


@FEATURE_GROUPS.register("appearance")
def _appearance(sample: Sample) -> dict[str, float]:
    """Mean over the images of every appearance number, and its spread between them."""
    values = {"grey_share": float(sample.grey.mean())}
    for name, column in zip(sample.descriptors, sample.appearance.T, strict=True):
        values |= {f"{name}_mean": float(column.mean()), f"{name}_spread": float(column.std())}
    return values


@FEATURE_GROUPS.register("likeness")
def _likeness(sample: Sample) -> dict[str, float]:
    """Near-duplicates, and how widely the images differ in their appearance as a whole."""
    hashes, used = sample.data_set.hashes, sample.data_set.used
    values = {}
    if hashes is not None:
        values["near_duplicate_share"] = near_duplicate_share(hashes[used], _NEAR_DUPLICATE_BITS)
    if len(sample.indices) > 2:
        standard = _standardised(sample.appearance)
        variance = np.linalg.svd(standard, compute_uv=False) ** 2
        total = float(variance.sum())
        values["appearance_dimensions"] = total**2 / float((variance**2).sum()) if total > 0 else 0.0
    return values


@FEATURE_GROUPS.register("separability")
def _separability(sample: Sample) -> dict[str, float]:
    """How well appearance alone tells the classes apart.

    Correlation ratio η² of each number (between-class over total variance), and the accuracy of the nearest class
    mean, each image left out of its own class's mean, above that of always saying the largest class.
    """
    if sample.labels is None:
        return {}
    present, labels = np.unique(sample.labels[sample.indices], return_inverse=True)
    if len(present) < 2:
        return {}
    standard, counts = _standardised(sample.appearance), np.bincount(labels)
    means = np.stack([standard[labels == k].mean(axis=0) for k in range(len(counts))])
    ratio = (counts[:, None] * means**2).sum(axis=0) / np.maximum((standard**2).sum(axis=0), 1e-9)
    hits = _nearest_mean_hits(standard, labels, means, counts)
    return {
        "separability_mean": float(ratio.mean()),
        "separability_max": float(ratio.max()),
        "nearest_mean_accuracy": float(hits.mean()),
        "nearest_mean_gain": float(hits.mean() - counts.max() / counts.sum()),
    }


@FEATURE_GROUPS.register("defects")
def _defects(sample: Sample) -> dict[str, float]:
    """Where masks exist: share of images with defects, their area, number, size and contrast."""
    areas = sample.data_set.mask_areas
    known = sample.data_set.used
    if areas is None:
        return {}
    with_defect = known[areas[known].any(axis=1)]
    n_pairs = int((areas[with_defect] > 0).sum())
    values = {
        "defect_image_share": len(with_defect) / len(known),
        "classes_per_defect_image": n_pairs / max(len(with_defect), 1),
    }
    if sample.data_set.read_mask is None or not len(with_defect):
        return values
    chosen = first_by_hash(sample.data_set, with_defect, _MAX_DEFECT_IMAGES, sample.seed)
    return values | measure_defects(sample.data_set, chosen)


def look(data_set: DataSet, max_images: int, seed: int) -> Sample:
    """What is seen of at most `max_images` used images; raises DataSetError naming an unreadable one."""
    indices = first_by_hash(data_set, data_set.used, max_images, seed)
    paths = [data_set.root / data_set.files[i] for i in indices]
    with ThreadPoolExecutor(max_workers=2) as pool:
        looks = list(pool.map(lambda path: look_at(read_reduced(path, AREA_PX)), paths))
        described = list(pool.map(describe_image, looks))
    assert data_set.sizes is not None, "a loaded data set has them"
    grey = np.array([look.colour is None for look in looks])
    appearance = np.array([list(numbers.values()) for numbers in described])
    return Sample(data_set, indices, tuple(described[0]), appearance, grey, data_set.sizes[indices], seed)


def first_by_hash(
    data_set: DataSet, positions: npt.NDArray[np.int64], n: int, seed: int
) -> npt.NDArray[np.int64]:
    """At most `n` of the positions, sorted; chosen by a hash of seed and file name, so that all machines agree."""
    return np.sort(seeded_order(data_set.files, positions, str(seed))[:n])


def _standardised(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    deviation = values.std(axis=0)
    return (values - values.mean(axis=0)) / np.where(deviation > 1e-9, deviation, 1.0)


def _nearest_mean_hits(
    standard: npt.NDArray[np.float64],
    labels: npt.NDArray[np.int64],
    means: npt.NDArray[np.float64],
    counts: npt.NDArray[np.int64],
) -> npt.NDArray[np.bool_]:
    """Whether each row's nearest class mean is its own class's, the row itself left out of that mean.

    Without itself a row lies n / (n − 1) times as far from the mean of its n; alone in its class it cannot be a hit.
    """
    distance = ((standard[:, None] - means[None]) ** 2).sum(axis=2)
    rows, n = np.arange(len(labels)), counts[labels]
    further = (n / np.maximum(n - 1, 1)) ** 2
    distance[rows, labels] = np.where(n > 1, distance[rows, labels] * further, np.inf)
    return distance.argmin(axis=1) == labels
