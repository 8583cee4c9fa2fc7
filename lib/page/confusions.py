"""A confusion matrix as a page shows it: a shaded table where it is small, and what is most often mistaken for what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MOST_CLASSES = 14
MOST_MISTAKES = 6


@dataclass(frozen=True)
class ConfusionView:
    """`cells`: a row a true class, of (images, share of the class) and the share that was found; empty of too many classes.
    `mistakes`: (true class, answer, images), commonest first."""

    title: str
    classes: tuple[str, ...]
    cells: tuple[tuple[str, tuple[tuple[int, float], ...], float], ...]
    mistakes: tuple[tuple[str, str, int], ...]


def confusion_view(
    title: str, classes: Sequence[str], counts: Sequence[Sequence[int]]
) -> ConfusionView | None:
    """`counts`: rows true, columns answered, in the order of `classes`; None where it is not of that form or empty."""
    n = len(classes)
    if not n or len(counts) != n or any(len(row) != n for row in counts) or not any(map(any, counts)):
        return None
    wrong = [
        (classes[i], classes[j], int(counts[i][j]))
        for i in range(n)
        for j in range(n)
        if i != j and counts[i][j]
    ]
    mistakes = sorted(wrong, key=lambda entry: -entry[2])[:MOST_MISTAKES]
    rows = tuple(_row(name, counts[i], i) for i, name in enumerate(classes)) if n <= MOST_CLASSES else ()
    return ConfusionView(title, tuple(classes), rows, tuple(mistakes))


def _row(name: str, counts: Sequence[int], place: int) -> tuple[str, tuple[tuple[int, float], ...], float]:
    total = max(sum(counts), 1)
    return name, tuple((int(c), c / total) for c in counts), counts[place] / total
