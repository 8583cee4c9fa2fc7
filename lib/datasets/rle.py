"""Kaggle's run-length encoding of a mask: `start length start length …`, starts 1-based, down the columns first."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lib.errors import DataSetError

_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")


@dataclass(frozen=True)
class Runs:
    """Checked runs of one mask: `starts` are 0-based column-major positions, `lengths` pixels; sorted, disjoint."""

    starts: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]

    @property
    def area(self) -> int:
        """Pixels covered."""
        return int(self.lengths.sum())


def parse(text: str, height: int | None = None, width: int | None = None) -> Runs:
    """Runs of an encoded mask; empty text is an empty mask. Without a size the end of the image is not checked.

    Raises DataSetError that says which number is wrong: not a whole number, an odd count, a start below 1,
    a length below 1, a run past the end of the image, or two runs that overlap.

    >>> parse("9 3 1 2", height=3, width=4)
    Runs(starts=array([0, 8]), lengths=array([2, 3]))
    >>> parse("9 3 1 2").area
    5
    """
    words = text.split()
    try:
        numbers = np.array(words, dtype=np.int64)
    except (ValueError, OverflowError) as error:
        wrong = next(word for word in words if not _WHOLE_NUMBER.fullmatch(word))[:20]
        expected = "expected whole numbers: start length start length …"
        raise DataSetError(f"RLE holds {wrong!r}; {expected}") from error
    if numbers.size % 2:
        raise DataSetError(f"RLE has {numbers.size} numbers; expected pairs of start and length")
    starts, lengths = numbers[0::2], numbers[1::2]
    _refuse(starts < 1, "start {} is below 1 (the first pixel is 1)", starts)
    _refuse(lengths < 1, "length {} is below 1", lengths)
    if height is not None and width is not None:
        past = f"the run at {{}} goes past the last pixel ({height * width} in {height}×{width})"
        _refuse(lengths > height * width + 1 - starts, past, starts)
    if (np.diff(starts) < 0).any():
        order = np.argsort(starts, kind="stable")
        starts, lengths = starts[order], lengths[order]
    overlapping = np.append(False, np.diff(starts) < lengths[:-1])
    _refuse(overlapping, "the run at {} overlaps the run before it", starts)
    return Runs(starts - 1, lengths)


def fill(runs: Runs, mask: npt.NDArray[np.bool_]) -> None:
    """Sets the runs' pixels in `mask`, bool (height, width), in place; pixels already set stay.

    >>> mask = np.zeros((3, 4), dtype=bool)
    >>> fill(parse("1 2 5 1 9 3"), mask)
    >>> mask.astype(int).tolist()
    [[1, 0, 0, 1], [1, 1, 0, 1], [0, 0, 1, 0]]
    """
    columns = mask.T.reshape(-1).copy()
    for start, length in zip(runs.starts.tolist(), runs.lengths.tolist(), strict=True):
        columns[start : start + length] = True
    mask[:] = columns.reshape(mask.shape[::-1]).T


def encode(mask: npt.NDArray[np.bool_]) -> str:
    """The encoding of a bool mask (height, width); an empty mask gives an empty text.

    >>> encode(np.array([[1, 0, 0, 1], [1, 1, 0, 1], [0, 0, 1, 0]]))
    '1 2 5 1 9 3'
    """
    columns = np.concatenate([[False], np.asarray(mask, dtype=bool).T.reshape(-1), [False]])
    edges = np.flatnonzero(columns[1:] != columns[:-1])
    pairs = np.column_stack([edges[0::2] + 1, edges[1::2] - edges[0::2]])
    return " ".join(map(str, pairs.reshape(-1).tolist()))


def _refuse(wrong: npt.NDArray[np.bool_], message: str, values: npt.NDArray[np.int64]) -> None:
    if wrong.any():
        raise DataSetError("RLE: " + message.format(values[int(np.argmax(wrong))]))
