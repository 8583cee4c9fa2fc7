"""What the names and features of rows or columns say: a few principal coordinates, the side information of factors.

Names that share parts are relatives ("ViT-B-16|laion400m|lr0.1", "cifar100@10shot"): positions between separators become
categories, words that several names share become weighted words, beside the numbers and categories of a features table.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lib.performance_prediction.table.score_table import Floats

SEPARATORS = "|@/"
MAX_COORDINATES = 24
MAX_LEVELS = 200
MAX_WORDS = 500
NUMERIC_SHARE = 0.5  # a text column with so many numbers in it is a column of numbers
LEVELS_OF_A_SETTING = 6  # a number with so few values is a setting, and may act as a category too
LONG_TAIL = 50.0  # largest over smallest from which a positive number is read on a log scale


@dataclass(frozen=True)
class _NumberField:
    name: str
    logarithm: bool
    floor: float
    mean: float
    unit: float
    levels: tuple[float, ...]
    with_gaps: bool

    def encode(self, column: pd.Series) -> Floats:
        raw = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
        with np.errstate(invalid="ignore"):
            scaled = np.log(np.maximum(raw, self.floor)) if self.logarithm else raw
            standard = np.clip((scaled - self.mean) / self.unit, -3, 3)
        parts = [np.nan_to_num(standard)[:, None]]
        if self.with_gaps:
            parts.append(np.isnan(raw).astype(float)[:, None])
        if self.levels:
            parts.append((raw[:, None] == np.array(self.levels)).astype(float))
        return np.hstack(parts)


@dataclass(frozen=True)
class _CategoryField:
    name: str
    levels: tuple[str, ...]

    def encode(self, column: pd.Series) -> Floats:
        return (
            column.astype(str).to_numpy(dtype=object)[:, None] == np.array(self.levels, dtype=object)
        ).astype(float)


@dataclass(frozen=True)
class SideEncoder:
    """Fitted encoding of features; blocks are centred and weigh alike, then projected on principal axes."""

    fields: tuple[_NumberField | _CategoryField, ...]
    centres: tuple[Floats, ...]
    weights: tuple[float, ...]
    axes: Floats

    def encode(self, features: pd.DataFrame | None) -> Floats:
        """Coordinates (n, n_axes) of new rows known by `features` alone (their names say nothing); zeros without any."""
        count = 1 if features is None else len(features)
        width = sum(len(centre) for centre in self.centres)
        known = np.zeros((count, len(self.axes)))
        if features is None or width == 0:
            return known @ self.axes
        blocks = [
            (field.encode(features[field.name]) - centre) * weight
            if field.name in features
            else np.zeros((count, len(centre)))
            for field, centre, weight in zip(self.fields, self.centres, self.weights, strict=True)
        ]
        known[:, :width] = np.hstack(blocks)
        return known @ self.axes


def side_coordinates(
    names: Sequence[str], features: pd.DataFrame | None
) -> tuple[Floats, SideEncoder] | None:
    """Principal coordinates (n, ≤ 24) of what names and `features` say, mean 0, mean squared length about 1, and their encoder.

    None when nothing is shared between any two of them.
    """
    fields = [field for name in features for field in _field(features[name])] if features is not None else []
    blocks = [field.encode(features[field.name]) for field in fields] if features is not None else []
    named = [*_name_positions(names), _shared_words(names)]
    centred, centres, weights, kept = [], [], [], []
    for place, block in enumerate([*blocks, *named]):
        centre = block.mean(axis=0)
        size = float(np.sqrt(np.square(block - centre).sum(axis=1).mean())) if block.shape[1] else 0.0
        if size < 1e-9:
            continue
        centred.append((block - centre) / size)
        if place < len(fields):
            kept.append(fields[place])
            centres.append(centre)
            weights.append(1.0 / size)
    if not centred:
        return None
    joined = np.hstack(centred) / np.sqrt(len(centred))
    left, singular, right = np.linalg.svd(joined, full_matrices=False)
    count = min(MAX_COORDINATES, int(np.sum(singular > 1e-3 * singular[0])), max(1, len(names) // 3))
    share = tuple(weight / float(np.sqrt(len(centred))) for weight in weights)
    encoder = SideEncoder(tuple(kept), tuple(centres), share, right[:count].T)
    return left[:, :count] * singular[:count], encoder


def _field(column: pd.Series) -> list[_NumberField | _CategoryField]:
    raw = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    raw = np.where(np.isfinite(raw), raw, np.nan)
    known = raw[~np.isnan(raw)]
    if known.size and known.size >= NUMERIC_SHARE * column.notna().sum():
        return [_number_field(str(column.name), raw, known)]
    return [_CategoryField(str(column.name), _shared_levels(column.fillna("").astype(str)))]


def _number_field(name: str, raw: Floats, known: Floats) -> _NumberField:
    positive = known[known > 0]
    long_tail = positive.size > 0 and known.min() >= 0 and known.max() > LONG_TAIL * positive.min()
    floor = float(positive.min()) if positive.size else 1.0
    scaled = np.log(np.maximum(known, floor)) if long_tail else known
    distinct = np.unique(known)
    few = len(distinct) <= LEVELS_OF_A_SETTING and known.size == raw.size and len(distinct) < len(raw)
    return _NumberField(
        name,
        bool(long_tail),
        floor,
        float(scaled.mean()),
        float(scaled.std()) or 1.0,
        tuple(map(float, distinct)) if few else (),
        bool(known.size < raw.size),
    )


def _shared_levels(texts: Sequence[str]) -> tuple[str, ...]:
    counts = Counter(texts)
    shared = [text for text, count in counts.most_common(MAX_LEVELS) if 1 < count < len(texts)]
    return tuple(sorted(shared))


def _name_positions(names: Sequence[str]) -> list[Floats]:
    blocks = []
    for separator in SEPARATORS:
        parts = [name.split(separator) for name in names]
        if np.mean([len(part) > 1 for part in parts]) <= 0.5:
            continue
        for position in range(min(max(map(len, parts)), 12)):
            texts = pd.Series([part[position] if position < len(part) else "" for part in parts])
            blocks.append(_CategoryField("", _shared_levels(list(texts))).encode(texts))
    return blocks


def _shared_words(names: Sequence[str]) -> Floats:
    """Rows of unit length: inverse-document-frequency weighted words that at least two names share."""
    bags = [set(_words(name)) for name in names]
    counts = Counter(word for bag in bags for word in bag)
    # in a fixed order: that of a set differs from one process to the next, and with it the rounding of all that follows
    common = sorted(counts, key=lambda word: (-counts[word], word))
    shared = [word for word in common if 2 <= counts[word] < 0.95 * len(names)][:MAX_WORDS]
    if not shared:
        return np.zeros((len(names), 0))
    present = np.array([[word in bag for word in shared] for bag in bags], dtype=float)
    weighted = present * np.log(len(names) / present.sum(axis=0))
    length = np.linalg.norm(weighted, axis=1, keepdims=True)
    return weighted / np.where(length > 0, length, 1.0)


def _words(name: str) -> list[str]:
    split = re.sub(r"([a-z])([A-Z])", r"\1 \2", name)
    return [word.lower() for word in re.split(r"[^\w.]+|_", split) if word]
