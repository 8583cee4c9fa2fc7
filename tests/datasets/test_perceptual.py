"""Perceptual hashes against SciPy's DCT and a plain double loop."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from lib.datasets.perceptual import (
    connected_groups,
    near_duplicate_pairs,
    near_duplicate_share,
    perceptual_hash,
)
from tests.datasets.made_up import picture


def test_the_hash_is_that_of_scipys_dct() -> None:
    image = picture(5, 70, 90)
    grey = np.asarray(image.resize((32, 32), Image.Resampling.BOX), dtype=float)
    low = dctn(grey, norm="ortho")[:8, :8]
    bits = (low > np.median(low.reshape(-1)[1:])).reshape(-1)
    assert perceptual_hash(image) == int("".join("1" if b else "0" for b in bits), 2)


def test_brightness_and_size_change_few_bits_and_another_image_many() -> None:
    image = picture(1, 200, 200)
    changed = image.resize((90, 110)).point(lambda v: int(v * 0.8) + 20)
    assert (perceptual_hash(image) ^ perceptual_hash(changed)).bit_count() <= 4
    assert (perceptual_hash(image) ^ perceptual_hash(picture(2, 200, 200))).bit_count() > 15


def test_groups_are_those_of_a_double_loop() -> None:
    random = np.random.default_rng(0)
    hashes = random.integers(0, 2**63, 60, dtype=np.uint64)
    hashes = np.concatenate([hashes, hashes[:20] ^ np.uint64(0b101), hashes[:5]])
    loop = [(i, j) for i in range(85) for j in range(i) if (int(hashes[i]) ^ int(hashes[j])).bit_count() <= 2]
    a, b = np.array(loop).T
    expected = connected_components(coo_array((np.ones(len(a)), (a, b)), shape=(85, 85)), directed=False)[1]
    groups = connected_groups(85, near_duplicate_pairs(hashes, 2))
    assert (
        len(set(zip(groups.tolist(), expected.tolist(), strict=True)))
        == len(set(expected))
        == groups.max() + 1
    )


def test_a_long_chain_is_one_group() -> None:
    pairs = np.random.default_rng(1).permutation(np.column_stack([np.arange(999), np.arange(1, 1000)]))
    assert (connected_groups(1000, pairs) == 0).all()


def test_a_thousand_copies_give_few_pairs_and_a_full_share() -> None:
    hashes = np.full(1000, 7, dtype=np.uint64)
    assert len(near_duplicate_pairs(hashes, 4)) == 999
    assert near_duplicate_share(hashes, 4) == 1.0
    assert near_duplicate_share(np.zeros(0, dtype=np.uint64), 4) == 0.0
