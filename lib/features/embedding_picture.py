"""How a backbone sees a data set, in two dimensions and a few numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from lib.datasets.base import DataSet
from lib.datasets.derived import NO_DEFECT, dominant
from lib.errors import CvAutomlError

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Method = Literal["pca", "umap"]

NEIGHBOURS = 10
MOST_JUDGED = 3000
COMPONENTS = 10
FEWEST_IMAGES = 3


@dataclass(frozen=True)
class EmbeddingPicture:
    """The embeddings of a data set's used images as they are drawn and judged.

    `points` float (n, 2) by `method`; `labels` (n,) into `classes`, None without labels. `explained_variance`: share of the
    variance that each of the first ten principal components holds. `silhouette`: mean over the images of (b − a) / max(a, b), a
    the mean distance to its own class, b to the nearest other one (Rousseeuw 1987), from −1 to 1. `knn_purity`: mean share of an
    image's ten nearest neighbours that are of its class; `chance_purity`: what it would be if classes lay at random. Distances
    are Euclidean between normalised embeddings, on at most 3,000 images. All images count, whatever their part: the numbers
    describe, and nothing is chosen by them.
    """

    data_set: str
    backbone: str
    method: Method
    points: Floats
    labels: Labels | None
    classes: tuple[str, ...]
    explained_variance: tuple[float, ...]
    silhouette: float | None
    knn_purity: float | None
    chance_purity: float | None


def embedding_picture(
    data_set: DataSet, backbone: str, embeddings: Floats, method: Method = "pca", seed: int = 0
) -> EmbeddingPicture:
    """Draws `embeddings` (n_files, width); masks are labelled by the class with the largest area. Raises CvAutomlError where fewer
    than three images are used, or UMAP is asked for and not installed."""
    used = data_set.used
    if len(used) < FEWEST_IMAGES:
        raise CvAutomlError(
            f"{data_set.name}: {len(used)} images are too few for a picture; three are needed"
        )
    values = normalised(embeddings[used])
    principal, shares = principal_components(values)
    labels, classes = labels_and_classes(data_set)
    labels = None if labels is None else labels[used]
    judged = np.random.default_rng(seed).permutation(len(values))[:MOST_JUDGED]
    judgement = (None,) * 3 if labels is None else judged_by(values[judged], labels[judged])
    return EmbeddingPicture(
        data_set=data_set.name,
        backbone=backbone,
        method=method,
        points=umap_points(values, seed) if method == "umap" else principal[:, :2],
        labels=labels,
        classes=classes,
        explained_variance=tuple(shares[:COMPONENTS].tolist()),
        silhouette=judgement[0],
        knn_purity=judgement[1],
        chance_purity=judgement[2],
    )


def labels_and_classes(data_set: DataSet) -> tuple[Labels | None, tuple[str, ...]]:
    """The class of each file and the classes' names; of masks the largest one and `no_defect` first; (None, ()) without either."""
    if data_set.labels is not None:
        return data_set.labels, data_set.classes
    if data_set.mask_areas is not None:
        return dominant(data_set.mask_areas), (NO_DEFECT, *data_set.classes)
    return None, ()


def normalised(embeddings: Floats) -> Floats:
    """Each row (n, width) at length 1; a row of zeros stays."""
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return (embeddings / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def principal_components(values: Floats) -> tuple[Floats, npt.NDArray[np.float64]]:
    """(coordinates (n, k), share of variance (k,)) of the first components; k at most ten, at least two (of zeros where there
    are none)."""
    from sklearn.decomposition import PCA

    k = min(COMPONENTS, *values.shape)
    fitted = PCA(k, svd_solver="full" if min(values.shape) < 500 else "randomized", random_state=0)
    points = fitted.fit_transform(values.astype(np.float64))
    missing = max(0, 2 - k)
    return np.pad(points, ((0, 0), (0, missing))).astype(np.float32), np.nan_to_num(
        fitted.explained_variance_ratio_
    )


def umap_points(values: Floats, seed: int) -> Floats:
    """Coordinates (n, 2) by UMAP (McInnes et al. 2018, arXiv:1802.03426), seeded; raises CvAutomlError where it is missing."""
    try:
        import umap
    except ImportError as error:
        raise CvAutomlError(
            "UMAP is not installed: `poetry install --extras umap`, or leave out --umap"
        ) from error
    neighbours = min(15, len(values) - 1)
    init = "spectral" if len(values) > 2 * neighbours else "random"
    drawn = umap.UMAP(n_neighbors=neighbours, random_state=seed, n_jobs=1, init=init).fit_transform(values)
    return np.asarray(drawn, dtype=np.float32)


def judged_by(values: Floats, labels: Labels) -> tuple[float | None, float | None, float | None]:
    """(silhouette, k-NN purity, purity by chance) of normalised embeddings (n, width); None where one class only is present."""
    present, counts = np.unique(labels, return_counts=True)
    n = len(labels)
    if len(present) < 2 or len(present) >= n:
        return None, None, None
    from sklearn.metrics import silhouette_score

    chance = float((counts * (counts - 1)).sum() / (n * (n - 1)))
    return float(silhouette_score(values, labels)), knn_purity(values, labels), chance


def knn_purity(values: Floats, labels: Labels, neighbours: int = NEIGHBOURS) -> float:
    """Mean share of each row's nearest rows, itself left out, that have its label."""
    k = min(neighbours, len(values) - 1)
    likeness = values @ values.T
    np.fill_diagonal(likeness, -np.inf)
    nearest = np.argpartition(-likeness, k - 1, axis=1)[:, :k]
    return float((labels[nearest] == labels[:, None]).mean())
