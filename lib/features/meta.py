"""Meta-features: what a data set looks like, as named numbers, found without a network and in a few seconds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lib.datasets.base import DataSet
from lib.datasets.derived import dominant
from lib.datasets.images import read_reduced, read_size
from lib.datasets.perceptual import near_duplicate_share
from lib.features.appearance import AREA_PX, describe_image, descriptor_names, look_at
from lib.features.defects import DEFECT_FEATURES, measure_defects
from lib.records.schema import DataSetFacts
from lib.registry import Registry

META_FEATURES_VERSION = 1
MAX_IMAGES = 200
"""Images looked at by default: more change the means by less than their spread between data sets."""

_NEAR_DUPLICATE_BITS = 4
_MAX_DEFECT_IMAGES = 60


@dataclass(frozen=True)
class Sample:
    """A data set and what was seen of it: `appearance` float (n_seen, n_descriptors) and `sizes` int (n_seen, 2) of `indices`."""

    data_set: DataSet
    indices: npt.NDArray[np.int64]
    appearance: npt.NDArray[np.float64]
    grey: npt.NDArray[np.bool_]
    sizes: npt.NDArray[np.int64]
    seed: int

    @property
    def used(self) -> npt.NDArray[np.int64]:
        """Positions of all images that are not `unused`."""
        return np.flatnonzero(self.data_set.parts != "unused")

    @property
    def labels(self) -> npt.NDArray[np.int64] | None:
        """Labels (n,) of all files: its own, or of masks the dominant class; None where there is no truth."""
        if self.data_set.labels is not None:
            return self.data_set.labels
        areas = self.data_set.mask_areas
        return None if areas is None else dominant(areas)


Measure = Callable[[Sample], dict[str, float]]


@dataclass(frozen=True)
class FeatureGroup:
    """Meta-features measured together; `measure` gives some or all of `names`."""

    names: tuple[str, ...]
    measure: Measure


FEATURE_GROUPS: Registry[FeatureGroup] = Registry("group of meta-features")


def feature_group(group: str, *names: str) -> Callable[[Measure], Measure]:
    """Registers the decorated function as the source of the meta-features `names`: all it takes to add some."""

    def register(measure: Measure) -> Measure:
        FEATURE_GROUPS.register(group)(FeatureGroup(names, measure))
        return measure

    return register


def meta_feature_names() -> tuple[str, ...]:
    """Names of all meta-features there are, in the order of their groups."""
    return tuple(name for group in FEATURE_GROUPS for name in FEATURE_GROUPS[group].names)


def data_set_facts(data_set: DataSet, *, max_images: int | None = None, seed: int = 0) -> DataSetFacts:
    """The card and meta-features of a data set; the same for the same images, labels, parts and seed.

    At most `max_images` (default MAX_IMAGES) used images are looked at, those whose hash of seed and name comes first;
    each is shrunk to about AREA_PX pixels. Labels and masks of the test part are never looked at. A feature
    that does not apply is left out. Raises DataSetError naming an unreadable image.
    """
    sample = _look(data_set, max_images or MAX_IMAGES, seed)
    features: dict[str, float] = {}
    for name in FEATURE_GROUPS:
        features |= {key: float(value) for key, value in FEATURE_GROUPS[name].measure(sample).items()}
    card = data_set.card
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
        meta_features={key: float(f"{value:.6g}") for key, value in features.items() if np.isfinite(value)},
    )


@feature_group(
    "counts", "n_images", "log_n_images", "n_train", "log_n_train", "n_classes", "n_train_per_class"
)
def _counts(sample: Sample) -> dict[str, float]:
    """Images, images to train on, classes, images to train on a class."""
    data_set = sample.data_set
    n_train = len(data_set.indices("train"))
    values = {"n_images": float(len(sample.used)), "log_n_images": float(np.log10(len(sample.used)))}
    if data_set.classes:
        values |= {
            "n_train": float(n_train),
            "log_n_train": float(np.log10(max(n_train, 1))),
            "n_classes": float(len(data_set.classes)),
            "n_train_per_class": n_train / len(data_set.classes),
        }
    return values


@feature_group("balance", "class_entropy", "majority_share", "minority_share", "imbalance")
def _balance(sample: Sample) -> dict[str, float]:
    """How even the classes are outside the test part: entropy over its maximum, shares, imbalance.

    Masks count as the class with the largest area, images without a defect as one more class.
    """
    seen = _seen_labels(sample, sample.used)
    if seen is None or not len(seen[1]):
        return {}
    n_classes = len(sample.data_set.classes) if sample.data_set.labels is not None else 0
    counts = np.bincount(seen[1], minlength=n_classes)
    share = (counts if n_classes else counts[counts > 0]) / counts.sum()
    there = share[share > 0]
    return {
        "class_entropy": abs(float((there * np.log(there)).sum())) / np.log(max(len(share), 2)),
        "majority_share": float(share.max()),
        "minority_share": float(share.min()),
        "imbalance": float(share.max() / max(share.min(), 1 / counts.sum())),
    }


@feature_group(
    "size", "height_mean", "width_mean", "log_area_mean", "aspect_mean", "aspect_spread", "size_spread"
)
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


@feature_group(
    "appearance",
    "grey_share",
    *(f"{name}_{statistic}" for name in descriptor_names() for statistic in ("mean", "spread")),
)
def _appearance(sample: Sample) -> dict[str, float]:
    """Mean over the images of every appearance number, and its spread between them."""
    values = {"grey_share": float(sample.grey.mean())}
    for name, column in zip(descriptor_names(), sample.appearance.T, strict=True):
        values |= {f"{name}_mean": float(column.mean()), f"{name}_spread": float(column.std())}
    return values


@feature_group("likeness", "near_duplicate_share", "appearance_dimensions")
def _likeness(sample: Sample) -> dict[str, float]:
    """Near-duplicates, and how widely the images differ in their appearance as a whole."""
    hashes = sample.data_set.hashes
    values = {}
    if hashes is not None:
        values["near_duplicate_share"] = near_duplicate_share(hashes[sample.used], _NEAR_DUPLICATE_BITS)
    if len(sample.indices) > 2:
        standard = _standardised(sample.appearance)
        variance = np.linalg.svd(standard, compute_uv=False) ** 2
        total = float(variance.sum())
        values["appearance_dimensions"] = total**2 / float((variance**2).sum()) if total > 0 else 0.0
    return values


@feature_group(
    "separability", "separability_mean", "separability_max", "nearest_mean_accuracy", "nearest_mean_gain"
)
def _separability(sample: Sample) -> dict[str, float]:
    """How well appearance alone tells the classes apart, test part left out.

    Correlation ratio η² of each number (between-class over total variance), and the accuracy of the nearest class
    mean, each image left out of its own class's mean, above that of always saying the largest class.
    """
    seen = _seen_labels(sample, sample.indices)
    if seen is None or len(np.unique(seen[1])) < 2:
        return {}
    rows = np.flatnonzero(np.isin(sample.indices, seen[0]))
    standard, labels = _standardised(sample.appearance[rows]), seen[1]
    counts = np.bincount(labels)
    sums = np.zeros((len(counts), standard.shape[1]))
    np.add.at(sums, labels, standard)
    means = sums / np.maximum(counts, 1)[:, None]
    ratio = (counts[:, None] * means**2).sum(axis=0) / np.maximum((standard**2).sum(axis=0), 1e-9)
    hits = _nearest_mean_hits(standard, labels, sums, counts)
    return {
        "separability_mean": float(ratio.mean()),
        "separability_max": float(ratio.max()),
        "nearest_mean_accuracy": float(hits.mean()),
        "nearest_mean_gain": float(hits.mean() - counts.max() / counts.sum()),
    }


@feature_group("defects", "defect_image_share", "classes_per_defect_image", *DEFECT_FEATURES)
def _defects(sample: Sample) -> dict[str, float]:
    """Where masks exist: share of images with defects, their area, number, size and contrast; test part left out."""
    areas = sample.data_set.mask_areas
    known = _without_test(sample.data_set, sample.used)
    if areas is None or not len(known):
        return {}
    with_defect = known[areas[known].any(axis=1)]
    values = {
        "defect_image_share": len(with_defect) / len(known),
        "classes_per_defect_image": float((areas[with_defect] > 0).sum(axis=1).mean())
        if len(with_defect)
        else 0.0,
    }
    if sample.data_set.read_mask is None or not len(with_defect):
        return values
    chosen = _first_by_hash(sample.data_set, with_defect, _MAX_DEFECT_IMAGES, sample.seed)
    return values | measure_defects(sample.data_set, chosen)


def _look(data_set: DataSet, max_images: int, seed: int) -> Sample:
    used = np.flatnonzero(data_set.parts != "unused")
    indices = _first_by_hash(data_set, used, max_images, seed)
    paths = [data_set.root / data_set.files[i] for i in indices]
    with ThreadPoolExecutor(max_workers=2) as pool:
        looks = list(pool.map(lambda path: look_at(read_reduced(path, AREA_PX)), paths))
        appearance = np.stack(list(pool.map(describe_image, looks)))
        sizes = (
            data_set.sizes[indices]
            if data_set.sizes is not None
            else np.array(list(pool.map(read_size, paths)), dtype=np.int64)
        )
    grey = np.array([look.colour is None for look in looks])
    return Sample(data_set, indices, appearance, grey, sizes, seed)


def _first_by_hash(
    data_set: DataSet, positions: npt.NDArray[np.int64], n: int, seed: int
) -> npt.NDArray[np.int64]:
    """At most `n` of the positions, sorted; chosen by a hash of seed and file name, so that all machines agree."""
    if len(positions) <= n:
        return positions
    keys = {int(i): hashlib.sha256(f"{seed}:{data_set.files[i]}".encode()).digest() for i in positions}
    return np.array(sorted(sorted(keys, key=keys.__getitem__)[:n]), dtype=np.int64)


def _without_test(data_set: DataSet, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return positions[data_set.parts[positions] != "test"]


def _seen_labels(
    sample: Sample, positions: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None:
    """Positions outside the test part and their labels; None without labels."""
    if sample.labels is None:
        return None
    known = _without_test(sample.data_set, positions)
    return known, sample.labels[known]


def _standardised(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    deviation = values.std(axis=0)
    return (values - values.mean(axis=0)) / np.where(deviation > 1e-9, deviation, 1.0)


def _nearest_mean_hits(
    standard: npt.NDArray[np.float64],
    labels: npt.NDArray[np.int64],
    sums: npt.NDArray[np.float64],
    counts: npt.NDArray[np.int64],
) -> npt.NDArray[np.bool_]:
    """Whether each row's nearest class mean is its own class's, the row itself left out of that mean."""
    means = sums / np.maximum(counts, 1)[:, None]
    distance = ((standard[:, None] - means[None]) ** 2).sum(axis=2)
    distance[:, counts == 0] = np.inf
    rows = np.arange(len(labels))
    others = counts[labels] - 1
    own = (sums[labels] - standard) / np.maximum(others, 1)[:, None]
    distance[rows, labels] = np.where(others > 0, ((standard - own) ** 2).sum(axis=1), np.inf)
    return distance.argmin(axis=1) == labels
