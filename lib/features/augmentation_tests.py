"""Which changes of an image leave its class alone: a quick classifier is trained without and with changed copies."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from lib.datasets.base import DataSet
from lib.datasets.images import read_reduced
from lib.features.texture import GRID, derivatives, orientation_histograms
from lib.frozen import Frozen

SIDE_PX = 64
LARGEST_LOSS = 0.02
"""In accuracy: a change that costs less is not called harmful."""

STILL_SAFE = -0.03
"""A safe change's interval lies above it."""

FEWEST_IMAGES = 40
NEARLY_SQUARE = 1.25

Floats = npt.NDArray[np.float32]
Change = Callable[[Floats, np.random.Generator], Floats]
Verdict = Literal["safe", "harmful", "unclear"]


class AugmentationTest(Frozen):
    """One change. `without`, `with_copies`: accuracy on untouched images; `low`, `high`: 95 % interval of the difference."""

    name: str
    without: float
    with_copies: float
    low: float
    high: float
    verdict: Verdict


def _brightness(grey: Floats, random: np.random.Generator) -> Floats:
    return np.clip(grey * np.float32(random.uniform(0.75, 1.25)), 0, 1)


def _crop(grey: Floats, random: np.random.Generator) -> Floats:
    kept = round(0.8 * SIDE_PX)
    top, left = random.integers(0, SIDE_PX - kept + 1, 2)
    cut = Image.fromarray(grey[top : top + kept, left : left + kept])
    return np.asarray(cut.resize((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR))


CHANGES: dict[str, Change] = {
    "left-right flip": lambda grey, random: grey[:, ::-1],
    "up-down flip": lambda grey, random: grey[::-1],
    "quarter turn": lambda grey, random: np.rot90(grey, random.choice((1, 3))),
    "brightness ±25 %": _brightness,
    "crop to 80 %": _crop,
}


def augmentation_tests(
    data_set: DataSet, indices: npt.NDArray[np.int64], labels: npt.NDArray[np.int64]
) -> tuple[AugmentationTest, ...]:
    """Each change tested on the images at `indices`; empty where there are too few, one class, or no folds.

    Over the folds, a support vector machine (RBF kernel) on gradients and brightness of a grid is trained on the images, and
    again with a changed copy beside each; both answer for the untouched images of the test part. A change that moves images
    into another class's place costs accuracy. Harmful: it costs more than 2 points, and the interval of the difference lies
    below 0; safe: the interval excludes a loss of 3 points; else unclear, as where the classifier does no better than the
    majority. It has no eye for what a deep network may see. `labels` (n_files,). Turns are tested on sets whose images are nearly square.
    """
    folds = [parts[indices] == "test" for parts in data_set.divisions("folds")]
    own = labels[indices]
    if len(indices) < FEWEST_IMAGES or len(np.unique(own)) < 2 or not any(fold.any() for fold in folds):
        return ()
    images = _small_images(data_set, indices)
    plain = np.stack([_description(image) for image in images])
    before = _hits(plain, plain[:0], own, folds)
    majority = np.bincount(own).max() / len(own)
    found = []
    for name in _fitting(data_set, indices):
        random = np.random.default_rng(0)
        copies = np.stack([_description(CHANGES[name](image, random)) for image in images])
        after = _hits(plain, copies, own, folds)
        found.append(_tested(name, before, after, float(majority)))
    return tuple(found)


def _fitting(data_set: DataSet, indices: npt.NDArray[np.int64]) -> list[str]:
    assert data_set.sizes is not None, "a loaded data set has them"
    sides = np.sort(data_set.sizes[indices], axis=1)
    square = np.median(sides[:, 1] / sides[:, 0]) <= NEARLY_SQUARE
    return [name for name in CHANGES if square or name != "quarter turn"]


def _small_images(data_set: DataSet, indices: npt.NDArray[np.int64]) -> list[Floats]:
    def read(index: int) -> Floats:
        picture = read_reduced(data_set.root / data_set.files[index], SIDE_PX * SIDE_PX * 4).convert("L")
        small = picture.resize((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR)
        return np.asarray(small, dtype=np.float32) / np.float32(255)

    with ThreadPoolExecutor(max_workers=2) as pool:
        return list(pool.map(read, indices.tolist()))


def _description(grey: Floats) -> Floats:
    """Gradient directions and the mean and spread of grey in each of 4×4 cells: (160,)."""
    side = SIDE_PX // GRID
    cells = np.ascontiguousarray(grey).reshape(GRID, side, GRID, side)
    light = (cells.mean((1, 3)).ravel(), cells.std((1, 3)).ravel())
    return np.concatenate([orientation_histograms(*derivatives(grey)), *light]).astype(np.float32)


def _hits(
    plain: Floats, copies: Floats, labels: npt.NDArray[np.int64], folds: list[npt.NDArray[np.bool_]]
) -> npt.NDArray[np.bool_]:
    """Whether each tested image, untouched, is answered rightly: bool (n_tested,), fold by fold."""
    from sklearn.svm import SVC

    hits = []
    for test in folds:
        if len(np.unique(labels[~test])) < 2:
            continue
        taught = np.concatenate([plain[~test], copies[~test]]) if len(copies) else plain[~test]
        truth = np.concatenate([labels[~test]] * (2 if len(copies) else 1))
        scale = taught.std(axis=0) + 1e-6
        model = SVC(C=10, gamma="scale").fit(taught / scale, truth)
        hits.append(model.predict(plain[test] / scale) == labels[test])
    return np.concatenate(hits)


def _tested(
    name: str, before: npt.NDArray[np.bool_], after: npt.NDArray[np.bool_], majority: float
) -> AugmentationTest:
    n, gained, lost = len(before), int((after & ~before).sum()), int((before & ~after).sum())
    # Agresti and Min 2005 (doi:10.1002/sim.1781): half an image more in each cell of the table.
    centre = (gained - lost) / (n + 2)
    error = np.sqrt(gained + lost + 1 - (gained - lost) ** 2 / (n + 2)) / (n + 2)
    low, high = float(centre - 1.96 * error), float(centre + 1.96 * error)
    knows = before.mean() - 1.96 * np.sqrt(before.mean() * (1 - before.mean()) / n) > majority
    verdict: Verdict = "unclear"
    if high < 0 and after.mean() < before.mean() - LARGEST_LOSS:
        verdict = "harmful"
    elif knows and low >= STILL_SAFE:
        verdict = "safe"
    return AugmentationTest(
        name=name, without=float(before.mean()), with_copies=float(after.mean()), low=low, high=high, verdict=verdict
    )  # fmt: skip
