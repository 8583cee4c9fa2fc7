"""Probing: cheap cells on a sample that keeps folds and classes, written nowhere; random weights tell nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lib.benchmark.probing import probe, restricted, sample
from lib.datasets import load_data_set
from lib.records import key_of


@pytest.fixture
def data_set(tiny_set, settings):
    return load_data_set(tiny_set, settings)


def test_probing_measures_the_cells_over_the_folds_and_keeps_nothing(data_set, settings):
    seen = []
    found = probe(
        data_set, settings, ("handcrafted",), ("linear", "knn"), on_images=lambda *told: seen.append(told)
    )
    assert [(r.backbone.name, r.head.name) for r in found.records] == [
        ("handcrafted", "linear"),
        ("handcrafted", "knn"),
    ]
    assert all(r.latency is None and len(r.folds) == 5 and r.quality() > 0.8 for r in found.records)
    assert all(key_of(r) == r.key for r in found.records)
    assert seen[-1] == ("handcrafted", 36, 36)
    assert not settings.runs_dir.exists()


def test_a_sample_is_the_same_each_time_and_keeps_classes_and_folds(data_set, settings):
    chosen = sample(data_set, 18)
    assert (chosen == sample(data_set, 18)).all()
    assert np.bincount(data_set.labels[chosen]).tolist() == [6, 6, 6]
    part = restricted(data_set, chosen)
    assert part.files == tuple(data_set.files[i] for i in chosen)
    for own, whole in zip(part.folds, data_set.folds, strict=True):
        assert (own == whole[chosen]).all()
    records = probe(data_set, settings, ("handcrafted",), ("knn",), most_images=18).records
    assert records[0].data_set.n_images == sum(fold.n_test for fold in records[0].folds) == 18


def test_embeddings_of_the_whole_set_are_used_where_they_are_at_hand(data_set, settings):
    alone = probe(data_set, settings, ("handcrafted",), ("knn",), most_images=18)
    probe(data_set, settings, ("handcrafted",), ("knn",))
    asked = []
    settings = settings.model_copy(update={"cache_dir": settings.cache_dir})
    again = probe(
        data_set, settings, ("handcrafted",), ("knn",), 18, on_images=lambda *told: asked.append(told)
    )
    assert not asked
    assert again.records[0].folds == alone.records[0].folds


def test_random_weights_and_sets_without_labels_are_left_out_with_a_warning(data_set, settings):
    random = probe(data_set, settings.override(weights="random"), ("mobilenetv2_100",))
    assert not random.records
    assert "random weights" in random.warnings[0]
    assert "one label an image" in probe(replace(data_set, labels=None), settings).warnings[0]


def test_of_masks_one_head_is_asked_for_and_a_sample_keeps_each_images_own_mask(data_set, settings):
    areas = np.arange(36)[:, None]
    masks = replace(
        data_set,
        task="segmentation",
        labels=None,
        mask_areas=areas,
        read_mask=lambda i: np.full((1, 4, 4), i % 2 == 1),
    )
    chosen = sample(masks, 10)
    part = restricted(masks, chosen)
    assert (part.mask_areas == areas[chosen]).all()
    assert [bool(part.read_mask(k)[0, 0, 0]) for k in range(10)] == [i % 2 == 1 for i in chosen.tolist()]
    (warning,) = probe(masks, settings.override(weights="random")).warnings
    assert "tf_mobilenetv3_small_100: random weights" in warning
