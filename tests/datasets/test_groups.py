"""What must share a part: copies, near-duplicates, names; and what only looks as if."""

from __future__ import annotations

import numpy as np
import pytest

from lib.datasets.groups import LARGEST_GROUP, keep_together
from lib.datasets.pictures import Pictures
from lib.errors import DataSetError


def _pictures(hashes: list[int], digests: list[str] | None = None) -> Pictures:
    n = len(hashes)
    return Pictures(
        files=tuple(f"images/{i:03d}_roll{i // 4}.jpg" for i in range(n)),
        digests=tuple(digests or [f"digest{i}" for i in range(n)]),
        hashes=np.array(hashes, dtype=np.uint64),
        sizes=np.ones((n, 2), dtype=np.int64),
    )


def _far_apart(n: int) -> list[int]:
    return np.random.default_rng(0).integers(0, 2**63, n).tolist()


def test_copies_and_near_duplicates_share_a_group() -> None:
    hashes = _far_apart(20)
    hashes[3] = hashes[2] ^ 0b1111
    hashes[5] = hashes[4] ^ 0b11111
    groups = keep_together(_pictures(hashes, ["same", "same", *map(str, range(18))]), 4, None)
    assert groups[0] == groups[1] and groups[2] == groups[3] and groups[4] != groups[5]
    assert len(set(groups.tolist())) == 18


def test_names_that_share_the_match_share_a_group_and_others_stay_alone() -> None:
    groups = keep_together(_pictures(_far_apart(12)), 4, r"_roll(\d)")
    assert groups.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert len(set(keep_together(_pictures(_far_apart(12)), 4, "no such").tolist())) == 12


def test_a_group_too_large_to_be_true_keeps_only_the_closer_ones_together() -> None:
    aligned = [1 << (i % 40) for i in range(40)]
    aligned += [aligned[0], aligned[1]]
    groups = keep_together(_pictures(aligned), 4, None)
    assert groups[0] == groups[40] and groups[1] == groups[41] and len(set(groups.tolist())) == 40


def test_a_set_of_nothing_but_copies_is_divided_all_the_same_unless_its_card_says_so() -> None:
    copies = _pictures([7] * 9, ["same"] * 9)
    assert keep_together(copies, 4, None).tolist() == list(range(9))
    with pytest.raises(DataSetError, match="group 'jpg' puts all 9 images together"):
        keep_together(_pictures(_far_apart(9)), 4, "jpg")


def test_many_copies_of_one_file_stay_together_all_the_same() -> None:
    n = 5 * LARGEST_GROUP
    hashes, digests = [7] * n + _far_apart(3), ["same"] * n + list("abc")
    assert keep_together(_pictures(hashes, digests), 4, None).tolist() == [0] * n + [1, 2, 3]
    alone = keep_together(_pictures([7] * n), 4, None)
    assert len(set(alone.tolist())) == n
