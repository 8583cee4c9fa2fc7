"""Landmarks: what cheap learners and transferability scores say of a data set's embeddings, as numbers with stable names."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from lib.features.transferability import (
    Floats,
    Ints,
    gbc,
    h_score,
    leep,
    logme,
    nce,
    parc,
    principal_components,
)

FOLDS = 5
FEWEST_IMAGES = 10
COMPONENTS = 64
RIDGE_STRENGTHS = tuple(10.0**k for k in range(-1, 6))

Answers = Callable[[Floats, Ints, Floats], Ints]


def landmarks(
    embeddings: Mapping[str, npt.NDArray[np.floating]],
    labels: Ints,
    seed: int = 0,
    source_probabilities: Mapping[str, Floats] | None = None,
) -> dict[str, float]:
    """`<backbone>.<landmark>` → value, for backbone → embeddings (n, width) of the same labelled images, `labels` (n,).

    Features are standardised, scores read off their COMPONENTS strongest principal components: seconds become milliseconds.
    `linear_probe`, `nearest_neighbour`: accuracy in cross-validation; `logme`, `h_score`, `gbc`, `parc`: see transferability,
    the third a pair of classes and the second a possible unit, so that sets of different class counts compare. Where
    `source_probabilities` (n, n_source_classes) of a backbone's own head are given: `nce`, `leep`. Empty with fewer than
    FEWEST_IMAGES images or two classes: nothing can be told apart.
    """
    if len(labels) < FEWEST_IMAGES or len(np.unique(labels)) < 2:
        return {}
    from threadpoolctl import threadpool_limits

    found = {}
    for name, values in embeddings.items():
        # Problems this small are slower on many threads, many times so on a busy machine.
        with threadpool_limits(limits=1):
            told = _landmarks_of(np.asarray(values, float), labels, seed)
        probabilities = (source_probabilities or {}).get(name)
        if probabilities is not None:
            told["nce"] = nce(probabilities.argmax(axis=1), labels)
            told["leep"] = leep(probabilities, labels)
        found.update({f"{name}.{landmark}": round(value, 6) for landmark, value in told.items()})
    return found


def _landmarks_of(features: Floats, labels: Ints, seed: int) -> dict[str, float]:
    standardised = (features - features.mean(axis=0)) / np.maximum(features.std(axis=0), 1e-6)
    # All components: the same angles and distances in as many columns as there are images.
    rotated = principal_components(standardised, len(labels))
    strongest = principal_components(standardised, COMPONENTS)
    n_classes = len(np.unique(labels))
    folds = np.random.default_rng(seed).permutation(len(labels)) % FOLDS
    return {
        "linear_probe": _cross_validated(_linear_answers, rotated, labels, folds),
        "nearest_neighbour": _cross_validated(_nearest_answers, rotated, labels, folds),
        "logme": logme(strongest, labels),
        "h_score": h_score(strongest, labels) / (n_classes - 1),
        "gbc": gbc(strongest, labels) / (n_classes * (n_classes - 1)),
        "parc": parc(strongest, labels),
    }


def _cross_validated(answers: Answers, features: Floats, labels: Ints, folds: Ints) -> float:
    """Share of images answered rightly by what was fitted on the other folds."""
    right = 0
    for fold in range(FOLDS):
        held_out = folds == fold
        given = answers(features[~held_out], labels[~held_out], features[held_out])
        right += int((given == labels[held_out]).sum())
    return right / len(labels)


def _linear_answers(known: Floats, labels: Ints, asked: Floats) -> Ints:
    """Ridge regression onto ±1 for each class, its strength chosen by leave-one-out error."""
    from sklearn.linear_model import RidgeClassifierCV

    if len(np.unique(labels)) < 2:
        return np.full(len(asked), labels[0])
    return RidgeClassifierCV(alphas=RIDGE_STRENGTHS).fit(known, labels).predict(asked)


def _nearest_answers(known: Floats, labels: Ints, asked: Floats) -> Ints:
    """The label of the image with the smallest angle."""
    known, asked = (
        rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9) for rows in (known, asked)
    )
    return labels[np.argmax(asked @ known.T, axis=1)]
