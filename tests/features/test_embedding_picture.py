"""The picture of embeddings: its numbers against other ways to compute them, and the file it draws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from sklearn.neighbors import NearestNeighbors

from lib.errors import CvAutomlError
from lib.features.embedding_picture import embedding_picture, judged_by, knn_purity, normalised
from lib.reporting.embeddings import draw_embeddings
from tests.zoo.made_up import made_up_data_set, separable_features


def test_explained_variance_is_that_of_the_covariance():
    data_set = made_up_data_set()
    features = separable_features(data_set)
    picture = embedding_picture(data_set, "made_up", features)
    values = np.linalg.eigvalsh(np.cov(normalised(features).T.astype(float)))[::-1]
    assert picture.explained_variance == pytest.approx(values[:10] / values.sum(), rel=1e-3)
    assert np.var(picture.points[:, 0], ddof=1) == pytest.approx(values[0], rel=1e-3)


def test_purity_is_that_of_scikit_learns_neighbours():
    generator = np.random.default_rng(0)
    values, labels = normalised(generator.normal(size=(60, 5))), generator.integers(0, 3, 60)
    nearest = NearestNeighbors(n_neighbors=11).fit(values).kneighbors(values, return_distance=False)[:, 1:]
    assert knn_purity(values, labels) == pytest.approx((labels[nearest] == labels[:, None]).mean())


def test_classes_apart_are_purer_than_chance_and_random_ones_are_not():
    data_set = made_up_data_set()
    apart = embedding_picture(data_set, "made_up", separable_features(data_set, noise=0.1))
    assert apart.silhouette > 0.5
    assert apart.knn_purity > 0.95
    shuffled = np.random.default_rng(0).permutation(data_set.labels)
    _, purity, chance = judged_by(normalised(separable_features(data_set)), shuffled)
    assert purity == pytest.approx(chance, abs=0.06)


def test_masks_are_labelled_by_their_largest_class_and_unlabelled_images_by_none():
    masks = replace(made_up_data_set(task="segmentation"), mask_areas=np.eye(120, 4, dtype=np.int64))
    features = separable_features(made_up_data_set())
    picture = embedding_picture(masks, "made_up", features)
    assert picture.classes[0] == "no_defect"
    assert picture.labels is not None and picture.labels[:5].tolist() == [1, 2, 3, 4, 0]
    bare = embedding_picture(replace(masks, mask_areas=None), "made_up", features)
    assert (bare.labels, bare.silhouette, bare.knn_purity) == (None, None, None)


def test_too_few_images_and_a_missing_umap_are_told(monkeypatch):
    data_set = made_up_data_set()
    features = separable_features(data_set)
    few = replace(data_set, parts=np.array(["train", "test", *["unused"] * 118]))
    with pytest.raises(CvAutomlError, match="2 images are too few"):
        embedding_picture(few, "made_up", features)
    monkeypatch.setitem(__import__("sys").modules, "umap", None)
    with pytest.raises(CvAutomlError, match="UMAP is not installed"):
        embedding_picture(data_set, "made_up", features, "umap")


def test_panels_are_drawn_side_by_side(tmp_path):
    data_set = made_up_data_set()
    one = embedding_picture(data_set, "made_up", separable_features(data_set))
    draw_embeddings([one], tmp_path / "one.png")
    draw_embeddings([one, one], tmp_path / "two.png")
    widths = [Image.open(tmp_path / f"{name}.png").width for name in ("one", "two")]
    assert widths[1] > 1.5 * widths[0]
