"""Transferability scores: how well features will tell classes apart, read off without training; higher is better for all."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_LOGME_ROUNDS = 50
_LOGME_TOLERANCE = 1e-5
_GBC_DIMENSIONS = 64
_PARC_DIMENSIONS = 32
_SMALLEST_VARIANCE = (
    1e-4  # of a class along one axis, as a share of the axis' own: a class of one image has none
)


def logme(features: Floats, labels: Ints) -> float:
    """Log of the maximum evidence of Bayesian linear regression onto each class's indicator, an image, mean over classes.

    `features`: (n, d); `labels`: (n,) class numbers. You, Liu, Wang & Long, "LogME", ICML 2021, algorithm 1, with the fixed
    point for α and β written in the singular values of the features (You et al. 2022, "Ranking and tuning").
    """
    left, singular, _ = np.linalg.svd(np.asarray(features, float), full_matrices=False)
    known = singular > 1e-9 * max(singular[0], 1e-9)
    left, singular = left[:, known], singular[known]
    targets = _indicators(labels)
    return float(
        np.mean([_evidence(left.T @ y, float(y @ y), singular**2, features.shape) for y in targets.T])
    )


def _evidence(projected: Floats, norm: float, eigenvalues: Floats, shape: tuple[int, ...]) -> float:
    """Maximum over α, β of log p(y | F) / n; `projected`: y in the basis of F's left singular vectors."""
    n, d = shape
    outside = max(norm - float(projected @ projected), 0.0)
    alpha = beta = 1.0
    for _ in range(_LOGME_ROUNDS):
        ratio = alpha / beta
        gamma = float(np.sum(eigenvalues / (eigenvalues + ratio)))
        weights = float(np.sum(eigenvalues * projected**2 / (eigenvalues + ratio) ** 2))
        residual = outside + float(np.sum((ratio * projected / (eigenvalues + ratio)) ** 2))
        alpha, beta = gamma / max(weights, 1e-12), (n - gamma) / max(residual, 1e-12)
        if abs(alpha / beta - ratio) <= _LOGME_TOLERANCE * ratio:
            break
    return log_evidence(projected, outside, eigenvalues, (n, d), alpha, beta) / n


def log_evidence(
    projected: Floats, outside: float, eigenvalues: Floats, shape: tuple[int, int], alpha: float, beta: float
) -> float:
    """log N(y; 0, 1/β + F Fᵀ/α) of n values, from y's coordinates along F's left singular vectors and its squared rest."""
    n, _ = shape
    variances = 1 / beta + eigenvalues / alpha
    inside = np.log(variances).sum() + (projected**2 / variances).sum()
    rest = (n - len(eigenvalues)) * np.log(1 / beta) + beta * outside
    return float(-0.5 * (inside + rest + n * np.log(2 * np.pi)))


def h_score(features: Floats, labels: Ints, shrunk: bool = True) -> float:
    """tr(cov(f)⁻¹ cov(E[f | y])), between 0 and the number of classes less one. `features`: (n, d); `labels`: (n,).

    Bao et al., "An information-theoretic approach to transferability", ICIP 2019. `shrunk`: with Ledoit and Wolf's
    covariance, as Ibrahim, Ponomareva & Mazumder ("Newer is not always better", 2021) amend it for few images, the
    covariance of the class means being shrunk by the same share; else by the pseudo-inverse.
    """
    centred = features - features.mean(axis=0)
    means = _class_means(centred, labels)
    between = np.sqrt(np.bincount(np.unique(labels, return_inverse=True)[1]) / len(labels))[:, None] * means
    if not shrunk:
        inverse = np.linalg.pinv(centred.T @ centred / len(labels), hermitian=True)
        return float(np.sum((between @ inverse) * between))
    from sklearn.covariance import ledoit_wolf

    covariance, share = ledoit_wolf(centred, assume_centered=True)
    # Features without any spread tell nothing apart.
    if not np.trace(covariance) > 0:
        return 0.0
    solved = np.linalg.lstsq(covariance, between.T, rcond=None)[0]
    return float((1 - share) * np.sum(between.T * solved))


def gbc(features: Floats, labels: Ints, dimensions: int = _GBC_DIMENSIONS) -> float:
    """Gaussian Bhattacharyya coefficient: minus the overlap of the classes' normals, summed over ordered pairs of classes.

    `features`: (n, d), reduced to `dimensions` principal components; covariances diagonal; 0 is no overlap, -C(C-1) is all.
    Pándy et al., "Transferability estimation using Bhattacharyya class separability", CVPR 2022.
    """
    reduced = principal_components(features, dimensions)
    floor = _SMALLEST_VARIANCE * reduced.var(axis=0) + 1e-12
    classes = np.unique(labels)
    means = np.array([reduced[labels == c].mean(axis=0) for c in classes])
    variances = np.array([np.maximum(reduced[labels == c].var(axis=0), floor) for c in classes])
    overlap = 0.0
    for i in range(len(classes)):
        middle = (variances[i] + variances) / 2
        apart = ((means[i] - means) ** 2 / middle).sum(axis=1) / 8
        shape = 0.5 * (np.log(middle) - 0.5 * (np.log(variances[i]) + np.log(variances))).sum(axis=1)
        overlap += float(np.delete(np.exp(-apart - shape), i).sum())
    return -overlap


def parc(features: Floats, labels: Ints, dimensions: int = _PARC_DIMENSIONS) -> float:
    """Rank correlation between how unlike the features of two images are and how unlike their labels, in [-1, 1].

    Unlike: 1 - Pearson's correlation, of features (n, d) reduced to `dimensions` principal components, and of one-hot
    labels. Bolya, Mittapalli & Hoffman, "Scalable diverse model selection", NeurIPS 2021 (there times 100).
    """
    from scipy.stats import spearmanr

    below = np.tril_indices(len(labels), k=-1)
    of_features = _unlikeness(principal_components(features, dimensions))[below]
    # Pairs of images with labels alike are ties, whatever the last digit says.
    of_labels = _unlikeness(_indicators(labels))[below].round(9)
    if np.ptp(of_features) < 1e-12 or np.ptp(of_labels) < 1e-12:
        return 0.0
    return float(spearmanr(of_features, of_labels).statistic)


def nce(source_labels: Ints, labels: Ints) -> float:
    """Negative conditional entropy -H(y | z) in nats, at most 0, of target labels (n,) given the source head's answers (n,).

    Tran, Nguyen & Hassner, "Transferability and hardness of supervised classification tasks", ICCV 2019.
    """
    z, y = (np.unique(values, return_inverse=True)[1] for values in (source_labels, labels))
    joint = np.zeros((z.max() + 1, y.max() + 1))
    np.add.at(joint, (z, y), 1 / len(y))
    given = joint / joint.sum(axis=1, keepdims=True)
    seen = joint > 0
    return float(np.sum(joint[seen] * np.log(given[seen])))


def leep(source_probabilities: Floats, labels: Ints) -> float:
    """Log expected empirical prediction, at most 0: mean log Σ_z P(y_i | z) θ(x_i)_z.

    `source_probabilities`: θ, (n, n_source_classes), what the source head says of each image; `labels`: (n,).
    Nguyen, Hassner, Seeger & Archambeau, "LEEP", ICML 2020.
    """
    targets = _indicators(labels)
    joint = targets.T @ source_probabilities / len(labels)
    given = joint / np.maximum(joint.sum(axis=0, keepdims=True), 1e-300)
    expected = np.sum((source_probabilities @ given.T) * targets, axis=1)
    return float(np.mean(np.log(np.maximum(expected, 1e-300))))


def principal_components(features: Floats, dimensions: int) -> Floats:
    """Coordinates (n, at most `dimensions`) along the directions of most variance; unchanged where there are no more than that."""
    if features.shape[1] <= dimensions:
        return np.asarray(features, float)
    centred = features - features.mean(axis=0)
    if len(centred) > centred.shape[1]:
        axes = np.linalg.eigh(centred.T @ centred)[1]
        return centred @ axes[:, ::-1][:, :dimensions]
    # A few hundred images of a thousand features: their inner products are the smaller problem.
    variances, axes = np.linalg.eigh(centred @ centred.T)
    return (axes * np.sqrt(np.maximum(variances, 0.0)))[:, ::-1][:, :dimensions]


def _indicators(labels: Ints) -> Floats:
    """One column of zeros and ones for each class there is: (n, n_classes)."""
    return (labels[:, None] == np.unique(labels)[None, :]).astype(float)


def _class_means(features: Floats, labels: Ints) -> Floats:
    indicators = _indicators(labels)
    return (indicators.T @ features) / indicators.sum(axis=0)[:, None]


def _unlikeness(rows: Floats) -> Floats:
    """1 - Pearson's correlation of each two rows: (n, n); 1 where a row does not vary."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(centred, axis=1, keepdims=True)
    unit = centred / np.where(norms > 1e-12, norms, 1.0)
    return 1 - unit @ unit.T
