"""Perceptual hashes (pHash: signs of the lowest DCT frequencies) and the images that nearly equal each other."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

HASH_BITS = 64
_SIDE_PX = 32
_FREQUENCIES = 8
_BLOCK = 1024
_COSINES = np.sqrt(2 / _SIDE_PX) * np.cos(
    np.pi / _SIDE_PX * np.outer(np.arange(_FREQUENCIES), np.arange(_SIDE_PX) + 0.5)
)
_COSINES[0] /= np.sqrt(2)


def perceptual_hash(picture: Image.Image) -> int:
    """64-bit pHash: the 8×8 lowest frequencies of a 32×32 grey version, each against their median. After Zauner, Implementation
    and Benchmarking of Perceptual Image Hash Functions, 2010. Coefficients are rounded before they are compared, so that the
    last bits of a float do not decide and all machines agree."""
    grey = picture.convert("L").resize((_SIDE_PX, _SIDE_PX), Image.Resampling.BOX)
    low = np.round(_COSINES @ np.asarray(grey, dtype=np.float64) @ _COSINES.T, 6)
    bits = (low > np.median(low.reshape(-1)[1:])).reshape(-1)
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def near_duplicate_pairs(hashes: npt.NDArray[np.uint64], bits: int) -> npt.NDArray[np.int64]:
    """Pairs (n_pairs, 2) of positions whose hashes differ in at most `bits` bits, as far as groups need them. Equal hashes are
    chained rather than paired all with all, so a thousand copies give 999 pairs."""
    unique, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    copies = np.flatnonzero(first[inverse] != np.arange(len(hashes)))
    pairs = [np.column_stack([first[inverse[copies]], copies])]
    for start in range(0, len(unique), _BLOCK):
        block = unique[start : start + _BLOCK]
        distance = np.bitwise_count(block[:, None] ^ unique[None, start:])
        row, column = np.nonzero(distance <= bits)
        later = column > row
        pairs.append(np.column_stack([first[start + row[later]], first[start + column[later]]]))
    return np.concatenate(pairs).astype(np.int64).reshape(-1, 2)


def connected_groups(n: int, pairs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Group number (n,), counted from 0 in the order of the items: items joined by a chain of pairs share one."""
    parents = list(range(n))  # union-find: scipy's would cost half a second of import

    def lowest(i: int) -> int:
        while parents[i] != i:
            parents[i] = i = parents[parents[i]]
        return i

    for one, other in pairs.tolist():
        low, high = sorted((lowest(one), lowest(other)))
        parents[high] = low
    return np.unique([lowest(i) for i in range(n)], return_inverse=True)[1].astype(np.int64)


def near_duplicate_share(hashes: npt.NDArray[np.uint64], bits: int) -> float:
    """Share of images that have a near-duplicate in the set, 0…1."""
    if len(hashes) == 0:
        return 0.0
    groups = connected_groups(len(hashes), near_duplicate_pairs(hashes, bits))
    return float((np.bincount(groups)[groups] > 1).mean())
