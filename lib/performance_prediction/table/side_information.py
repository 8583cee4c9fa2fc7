"""What the names and features of rows or columns say: a few principal coordinates, the side information of factors.

Names that share parts are relatives ("ViT-B-16|laion400m|lr0.1", "cifar100@10shot"): positions between separators become
categories, words that several names share become weighted words, beside the numbers and categories of a features table.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lib.performance_prediction.table.score_table import Floats

if TYPE_CHECKING:
    import pandas as pd

SEPARATORS = "|@/"
MOST_POSITIONS = 12
MAX_COORDINATES = 24
MAX_LEVELS = 200
MAX_WORDS = 500
NUMERIC_SHARE = 0.5  # a text column with so many numbers in it is a column of numbers
LEVELS_OF_A_SETTING = 6  # a number with so few values is a setting, and may act as a category too
LONG_TAIL = 50.0  # largest over smallest from which a positive number is read on a log scale


def side_coordinates(names: Sequence[str], features: pd.DataFrame | None) -> Floats:
    """Principal coordinates (n, ≤ 24) of what names and `features` say, mean 0, mean squared length about 1.

    (n, 0) when nothing is shared between any two of them.
    """
    of_features = (
        [block for name in features for block in _blocks(features[name])] if features is not None else []
    )
    centred = []
    for block in [*of_features, *_name_positions(names), _shared_words(names)]:
        deviation = block - block.mean(axis=0)
        size = float(np.sqrt(np.square(deviation).sum(axis=1).mean())) if block.shape[1] else 0.0
        if size > 1e-9:
            centred.append(deviation / size)
    if not centred:
        return np.zeros((len(names), 0))
    left, singular, _ = np.linalg.svd(np.hstack(centred) / np.sqrt(len(centred)), full_matrices=False)
    count = min(MAX_COORDINATES, int(np.sum(singular > 1e-3 * singular[0])), max(1, len(names) // 3))
    return left[:, :count] * singular[:count]


def _blocks(column: pd.Series) -> Iterator[Floats]:
    """A features column as a block of numbers, one line a name."""
    import pandas as pd

    raw = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    raw = np.where(np.isfinite(raw), raw, np.nan)
    known = raw[~np.isnan(raw)]
    if known.size and known.size >= NUMERIC_SHARE * column.notna().sum():
        yield _numbers(raw, known)
    else:
        yield _categories(column.fillna("").astype(str).tolist())


def _numbers(raw: Floats, known: Floats) -> Floats:
    """Standardised, on a log scale where the tail is long; gaps flagged; few different values as categories too."""
    positive = known[known > 0]
    long_tail = positive.size > 0 and known.min() >= 0 and known.max() > LONG_TAIL * positive.min()
    with np.errstate(invalid="ignore"):
        scaled = np.log(np.maximum(raw, positive.min())) if long_tail else raw
        standard = np.clip((scaled - np.nanmean(scaled)) / (np.nanstd(scaled) or 1.0), -3, 3)
    parts = [np.nan_to_num(standard)[:, None]]
    levels = np.unique(known)
    if known.size < raw.size:
        parts.append(np.isnan(raw).astype(float)[:, None])
    elif len(levels) <= LEVELS_OF_A_SETTING and len(levels) < len(raw):
        parts.append((raw[:, None] == levels).astype(float))
    return np.hstack(parts)


def _categories(texts: Sequence[str]) -> Floats:
    """One column a text that several, but not all, have in common."""
    counts = Counter(texts)
    shared = sorted(text for text, count in counts.most_common(MAX_LEVELS) if 1 < count < len(texts))
    return np.array([[text == level for level in shared] for text in texts], dtype=float)


def _name_positions(names: Sequence[str]) -> Iterator[Floats]:
    for separator in SEPARATORS:
        parts = [name.split(separator) for name in names]
        if np.mean([len(part) > 1 for part in parts]) <= 0.5:
            continue
        for position in range(min(max(map(len, parts)), MOST_POSITIONS)):
            yield _categories([part[position] if position < len(part) else "" for part in parts])


def _shared_words(names: Sequence[str]) -> Floats:
    """Rows of unit length: inverse-document-frequency weighted words that at least two names share."""
    bags = [set(_words(name)) for name in names]
    counts = Counter(word for bag in bags for word in bag)
    # in a fixed order: that of a set differs from one process to the next, and with it the rounding of all that follows
    common = sorted(counts, key=lambda word: (-counts[word], word))
    shared = [word for word in common if 2 <= counts[word] < 0.95 * len(names)][:MAX_WORDS]
    present = np.array([[word in bag for word in shared] for bag in bags], dtype=float)
    # without scikit-learn's TfidfVectorizer: its "+ 1" on every weight costs 3 % on openclip_zeroshot (.0528 to .0545, 90 % hidden)
    weighted = present * np.log(len(names) / np.maximum(present.sum(axis=0), 1))
    length = np.linalg.norm(weighted, axis=1, keepdims=True)
    return weighted / np.where(length > 0, length, 1.0)


def _words(name: str) -> list[str]:
    split = re.sub(r"([a-z])([A-Z])", r"\1 \2", name)
    return [word.lower() for word in re.split(r"[^\w.]+|_", split) if word]
