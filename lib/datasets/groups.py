"""Which images must share a part of the split: copies, near-duplicates, and those whose names say so."""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from lib.datasets.perceptual import connected_groups, near_duplicate_pairs
from lib.datasets.pictures import Pictures
from lib.errors import DataSetError

LARGEST_GROUP = 12
LARGEST_GROUP_SHARE = 0.05
LONGEST_SEARCH_S = 5.0


def keep_together(pictures: Pictures, bits: int, group: str | None) -> npt.NDArray[np.int64]:
    """Group number (n,) of each picture: copies, near-duplicates, and files whose names share the match of `group`. Pictures of
    one object always placed alike share a perceptual hash without being copies. So a set of near-duplicates larger than 12
    images and 5 % of all is only kept together by ever fewer differing bits, and in the end by equal bytes."""
    pairs = [_pairs_of_equals(pictures.digests), near_duplicates(pictures.hashes, bits)]
    if group:
        named = enumerate(named_groups(pictures.files, group))
        pairs.append(
            _pairs_of_equals([f"file {i}" if name is None else f"group {name}" for i, name in named])
        )
    groups = connected_groups(len(pictures.files), np.concatenate(pairs))
    if len(groups) > 1 and not groups.any():
        if group:
            raise DataSetError(
                f"group {group!r} puts all {len(groups)} images together, so none is left to test on; "
                "mend `group` in dataset.yaml"
            )
        return np.arange(len(groups))
    return groups


def named_groups(files: Sequence[str], group: str) -> list[str | None]:
    """What `group` finds in the name of each file: its first group, else the whole match; None where it matches not. Raises
    DataSetError for a pattern that is none, or that is not done with all names in 5 s, as one that backtracks for ever."""
    try:
        with _at_most(LONGEST_SEARCH_S):
            pattern = re.compile(group)
            found = [pattern.search(file.rsplit("/", 1)[-1]) for file in files]
    except TimeoutError as error:
        raise DataSetError(
            f"group {group[:80]!r} was not found within {LONGEST_SEARCH_S:.0f} s, as if it tried for ever; write a simpler "
            "`group` in dataset.yaml, without a repetition inside a repetition"
        ) from error
    except (re.error, RecursionError, OverflowError, MemoryError) as error:
        raise DataSetError(f"group {group[:80]!r} is not a regular expression: {error}") from error
    return [match and match.group(1 if pattern.groups else 0) for match in found]


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Raises TimeoutError inside the block after `seconds`; only where signals arrive, in the main thread. A timer that was
    set before goes on afterwards."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise TimeoutError

    started, before = time.monotonic(), signal.signal(signal.SIGALRM, stop)
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if left:
            signal.setitimer(signal.ITIMER_REAL, max(1e-3, left - (time.monotonic() - started)), interval)


def near_duplicates(hashes: npt.NDArray[np.uint64], bits: int) -> npt.NDArray[np.int64]:
    """Pairs (n_pairs, 2) of positions of near-duplicates; within a group too large to be true, those of fewer bits."""
    largest = max(LARGEST_GROUP, int(LARGEST_GROUP_SHARE * len(hashes)))
    found = []
    open_positions = np.arange(len(hashes))
    for distance in range(bits, -1, -1):
        pairs = near_duplicate_pairs(hashes[open_positions], distance)
        groups = connected_groups(len(open_positions), pairs)
        too_large = np.bincount(groups, minlength=1)[groups] > largest
        found.append(open_positions[pairs[~too_large[pairs[:, 0]]]])
        open_positions = open_positions[too_large]
        if not len(open_positions):
            break
    return np.concatenate(found).reshape(-1, 2)


def _pairs_of_equals(names: Sequence[str]) -> npt.NDArray[np.int64]:
    """Pairs (n_pairs, 2) that join all positions of the same name."""
    first: dict[str, int] = {}
    pairs = [(first.setdefault(name, i), i) for i, name in enumerate(names)]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)
