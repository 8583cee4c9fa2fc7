"""Transferability scores against the papers' definitions, written out plainly on small cases."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal, spearmanr

from lib.features.transferability import gbc, h_score, leep, logme, nce, parc, principal_components

LABELS = np.array([0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 2])


def features(apart: float = 1.0, width: int = 4, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(len(LABELS), width)) + apart * rng.normal(size=(3, width))[LABELS]


@pytest.mark.parametrize("width", [3, 20])
def test_logme_is_the_largest_evidence_any_alpha_and_beta_give(width: int) -> None:
    given = features(width=width)

    def negative(logs: np.ndarray, y: np.ndarray) -> float:
        covariance = np.eye(len(y)) / np.exp(logs[1]) + given @ given.T / np.exp(logs[0])
        return -float(multivariate_normal(np.zeros(len(y)), covariance).logpdf(y))

    best = [
        min(
            minimize(negative, start, args=((c == LABELS).astype(float),), method="Nelder-Mead").fun
            for start in ([0.0, 0.0], [3.0, 2.0], [-2.0, 2.0])
        )
        for c in range(3)
    ]
    assert logme(given, LABELS) == pytest.approx(-np.mean(best) / len(LABELS), abs=2e-3)


def test_h_score_is_the_trace_of_its_definition() -> None:
    given = features()
    covariance = np.cov(given.T, bias=True)
    means = np.array([given[c == LABELS].mean(axis=0) for c in range(3)])[LABELS]
    between = np.cov(means.T, bias=True)
    assert h_score(given, LABELS, shrunk=False) == pytest.approx(
        np.trace(np.linalg.inv(covariance) @ between)
    )


def test_shrunk_h_score_shrinks_both_covariances_by_the_share_of_ledoit_and_wolf() -> None:
    from sklearn.covariance import LedoitWolf

    given = features(width=30)
    shrinkage = LedoitWolf().fit(given)
    means = np.array([given[c == LABELS].mean(axis=0) for c in range(3)])[LABELS]
    between = (1 - shrinkage.shrinkage_) * np.cov(means.T, bias=True)
    expected = np.trace(np.linalg.inv(shrinkage.covariance_) @ between)
    assert h_score(given, LABELS) == pytest.approx(expected)
    assert 0 <= h_score(given, LABELS) <= 2


def test_gbc_sums_the_bhattacharyya_coefficients_of_all_ordered_pairs() -> None:
    given = features()
    total = 0.0
    for i in range(3):
        for j in range(3):
            if i == j:
                continue
            a, b = given[i == LABELS], given[j == LABELS]
            both, apart = np.diag((a.var(0) + b.var(0)) / 2), a.mean(0) - b.mean(0)
            ratio = np.linalg.det(both) / np.sqrt(
                np.linalg.det(np.diag(a.var(0))) * np.linalg.det(np.diag(b.var(0)))
            )
            total -= np.exp(-(apart @ np.linalg.inv(both) @ apart / 8 + 0.5 * np.log(ratio)))
    assert gbc(given, LABELS) == pytest.approx(total)


def test_gbc_of_classes_that_are_the_same_is_minus_the_number_of_pairs() -> None:
    same = np.tile(features()[:4], (3, 1))
    assert gbc(same, np.repeat([0, 1, 2], 4)) == pytest.approx(-6)


def test_parc_is_spearmans_correlation_of_the_lower_triangles() -> None:
    given = features()
    one_hot = np.eye(3)[LABELS]
    below = np.tril_indices(len(LABELS), -1)
    of_labels = (1 - np.corrcoef(one_hot))[below].round(9)
    expected = spearmanr((1 - np.corrcoef(given))[below], of_labels).statistic
    assert parc(given, LABELS) == pytest.approx(expected)


def test_nce_is_minus_the_conditional_entropy() -> None:
    source = np.array([0, 0, 1, 1, 1, 2, 2, 2, 0, 1, 2, 2])
    expected = 0.0
    for z in range(3):
        inside = LABELS[source == z]
        for y in set(inside.tolist()):
            share = np.mean(inside == y)
            expected += np.mean(source == z) * share * np.log(share)
    assert nce(source, LABELS) == pytest.approx(expected)
    assert nce(LABELS, LABELS) == 0


def test_leep_is_the_mean_log_of_its_double_sum() -> None:
    theta = np.random.default_rng(1).dirichlet(np.ones(5), size=len(LABELS))
    n = len(LABELS)
    total = 0.0
    for i in range(n):
        expected = 0.0
        for z in range(5):
            joint = sum(theta[j, z] for j in range(n) if LABELS[j] == LABELS[i]) / n
            expected += joint / (theta[:, z].sum() / n) * theta[i, z]
        total += np.log(expected) / n
    assert leep(theta, LABELS) == pytest.approx(total)


def test_leep_of_certain_answers_is_nce() -> None:
    source = np.array([0, 0, 1, 1, 1, 2, 2, 2, 0, 1, 2, 2])
    assert leep(np.eye(3)[source], LABELS) == pytest.approx(nce(source, LABELS))


@pytest.mark.parametrize("width", [7, 40])
def test_principal_components_are_those_of_scikit_learn_up_to_sign(width: int) -> None:
    from sklearn.decomposition import PCA

    given = features(width=width)
    assert np.abs(principal_components(given, 5)) == pytest.approx(np.abs(PCA(5).fit_transform(given)))


@pytest.mark.parametrize("score", [logme, h_score, gbc, parc])
def test_classes_farther_apart_score_higher(score) -> None:
    assert score(features(apart=8.0), LABELS) > score(features(apart=0.1), LABELS)


@pytest.mark.parametrize("score", [logme, h_score, gbc, parc])
@pytest.mark.parametrize("given", [np.ones((12, 5)), np.zeros((12, 1)), features(width=200)])
def test_odd_features_give_a_finite_score(score, given) -> None:
    assert np.isfinite(score(given, LABELS))


@pytest.mark.parametrize("score", [logme, h_score, gbc, parc])
def test_a_class_of_one_image_gives_a_finite_score(score) -> None:
    assert np.isfinite(score(features(), np.array([0] * 11 + [1])))
