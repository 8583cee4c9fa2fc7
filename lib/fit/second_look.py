"""Images worth a second look: answers that confidently contradict the label, near-duplicates with different labels, odd ones out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from lib.datasets import DataSet
from lib.datasets.groups import near_duplicates
from lib.datasets.perceptual import connected_groups

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

MOST_UNLIKE = 20
KINDS = ("contradicts its label", "near-duplicate with another label", "unlike all others")


@dataclass(frozen=True)
class Look:
    """One image. `suggested`: the class that the out-of-fold answer (or the near-duplicate) speaks for, empty where none;
    `score`: 0…1, what the list is ordered by."""

    file: str
    label: str
    kind: str
    suggested: str
    score: float
    why: str
    part: str

    def row(self) -> dict[str, object]:
        """As plain values."""
        return asdict(self)


@dataclass(frozen=True)
class SecondLook:
    """The list, the most doubtful first. `at_stake`: by how much the accuracy that was measured could be wrong if every answer
    that contradicts its label were right."""

    looks: tuple[Look, ...]
    at_stake: float | None

    def rows(self) -> list[dict[str, object]]:
        """The list as plain values."""
        return [one.row() for one in self.looks]


def contradictions(answers: Floats, labels: Labels) -> npt.NDArray[np.int64]:
    """Positions whose answer is confident of another class, the most doubtful first: the answer's probability is at least the
    mean that its class has among the images labelled so, and above that of the label (confident learning, Northcutt et al.
    2021, arXiv:1911.00068). `answers` (n, n_classes), NaN where there is none."""
    known = np.flatnonzero(np.isfinite(answers).all(axis=1))
    shown, truth = answers[known], labels[known]
    n_classes = answers.shape[1]
    usual = np.array(
        [shown[truth == k, k].mean() if (truth == k).any() else np.inf for k in range(n_classes)]
    )
    confident = np.where(shown >= usual, shown, -1.0)
    best = confident.argmax(axis=1)
    rows = np.arange(len(known))
    doubtful = (confident[rows, best] > shown[rows, truth]) & (best != truth)
    margins = confident[rows, best] - shown[rows, truth]
    found = np.flatnonzero(doubtful)
    return known[found[np.argsort(-margins[found], kind="stable")]]


def second_look(
    data_set: DataSet,
    answers: Floats | None,
    distances: Floats | None,
    limit: float,
    parts: npt.NDArray[np.str_],
    near_duplicate_bits: int,
) -> SecondLook:
    """`answers` (n_files, n_classes): out-of-fold and calibrated, None for masks; `distances` (n_files,) from the training
    images, NaN where not known; `parts`: where each image was used."""
    labels = data_set.labels
    looks: list[Look] = []
    at_stake = None
    if answers is not None and labels is not None:
        doubtful = contradictions(answers, labels)
        looks += [_contradiction(data_set, answers, int(i), parts) for i in doubtful]
        at_stake = len(doubtful) / max(int(np.isfinite(answers).all(axis=1).sum()), 1)
    if labels is not None and data_set.hashes is not None:
        looks += _conflicting(data_set, labels, parts, near_duplicate_bits)
    if distances is not None:
        looks += _unlike(data_set, distances, limit, parts)
    unique: dict[str, Look] = {}
    for one in sorted(looks, key=lambda look: -look.score):
        unique.setdefault(one.file, one)
    return SecondLook(tuple(unique.values()), at_stake)


def _label(data_set: DataSet, i: int) -> str:
    return data_set.classes[int(data_set.labels[i])] if data_set.labels is not None else ""


def _contradiction(data_set: DataSet, answers: Floats, i: int, parts: npt.NDArray[np.str_]) -> Look:
    label = _label(data_set, i)
    own = float(answers[i, data_set.classes.index(label)])
    best = int(answers[i].argmax())
    sure = float(answers[i, best])
    why = f"{data_set.classes[best]} with {sure:.2f}, {label} with {own:.2f}"
    score = round(max(sure - own, 0.0), 4)
    return Look(data_set.files[i], label, KINDS[0], data_set.classes[best], score, why, str(parts[i]))


def _conflicting(data_set: DataSet, labels: Labels, parts: npt.NDArray[np.str_], bits: int) -> Iterator[Look]:
    """The minority of each group of near-duplicates that carries more than one label; of an even split all."""
    assert data_set.hashes is not None
    used = np.flatnonzero(parts != "unused")
    groups = connected_groups(len(used), near_duplicates(data_set.hashes[used], bits))
    for group in np.flatnonzero(np.bincount(groups) > 1):
        members = used[groups == group]
        counts = np.bincount(labels[members], minlength=len(data_set.classes))
        if np.count_nonzero(counts) < 2:
            continue
        most = counts.max()
        usual = data_set.classes[int(counts.argmax())]
        for i in members[(counts[labels[members]] < most) | (np.count_nonzero(counts == most) > 1)]:
            others = [data_set.files[j] for j in members if labels[j] != labels[i]]
            label = _label(data_set, int(i))
            yield Look(
                data_set.files[i],
                label,
                KINDS[1],
                usual if usual != label else "",
                round(float(1 - counts[labels[i]] / len(members)), 4),
                f"looks like {others[0]}, which is labelled otherwise",
                str(parts[i]),
            )


def _unlike(
    data_set: DataSet, distances: Floats, limit: float, parts: npt.NDArray[np.str_]
) -> Sequence[Look]:
    """Those beyond the limit, the farthest first; none scores above one half: odd is not wrong."""
    far = np.flatnonzero(np.nan_to_num(distances) > limit)
    far = far[np.argsort(-distances[far])][:MOST_UNLIKE]
    top = float(distances[far].max()) if len(far) else 1.0
    return [
        Look(
            data_set.files[i],
            _label(data_set, int(i)),
            KINDS[2],
            "",
            round(0.5 * float(distances[i]) / max(top, 1e-9), 4),
            f"distance {distances[i]:.3f}, 99 of 100 training images stay below {limit:.3f}",
            str(parts[i]),
        )
        for i in far
    ]
