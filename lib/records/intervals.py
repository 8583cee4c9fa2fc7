"""Intervals of a quality from its standard error, by the normal distribution; a quality never leaves [0, 1]."""

from __future__ import annotations

NORMAL_90, NORMAL_95 = 1.645, 1.96
"""Standard errors to either side that hold 90 and 95 % of a normal distribution."""

Interval = tuple[float, float] | tuple[None, None]


def interval(quality: float | None, error: float | None, errors: float = NORMAL_95) -> Interval:
    """`errors` standard errors to either side; (None, None) where quality or standard error are not known.

    >>> interval(0.99, 0.01)
    (0.9704, 1.0)
    """
    if quality is None or error is None:
        return None, None
    return around(quality, errors * error)


def around(quality: float, half: float) -> tuple[float, float]:
    """`half` to either side."""
    return max(quality - half, 0.0), min(quality + half, 1.0)
