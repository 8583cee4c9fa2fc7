"""Metrics of classification agree with scikit-learn, and with cases counted by hand."""

import numpy as np
import pytest
from sklearn import metrics as reference

from lib.errors import CvAutomlError
from lib.records.schema import METRICS
from lib.zoo.metrics import (
    Judge,
    classification_metrics,
    combined_standard_error,
    confusion_matrix,
    expected_calibration_error,
    per_class_metrics,
    ranking_metrics,
    standard_errors,
)
from tests.zoo.made_up import made_up_data_set


def softmax(scores):
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


@pytest.fixture(params=[2, 3, 7])
def answers(request):
    generator = np.random.default_rng(request.param)
    labels = generator.integers(0, request.param, 211)
    scores = generator.normal(size=(211, request.param)).round(1)
    return labels, softmax(scores + 2 * np.eye(request.param)[labels])


def test_metrics_agree_with_scikit_learn(answers):
    labels, probabilities = answers
    predicted = probabilities.argmax(axis=1)
    n_classes = probabilities.shape[1]
    measured = classification_metrics(labels, probabilities)
    one_hot = np.eye(n_classes)[labels]
    assert measured["accuracy"] == pytest.approx(reference.accuracy_score(labels, predicted))
    assert measured["balanced_accuracy"] == pytest.approx(
        reference.balanced_accuracy_score(labels, predicted)
    )
    assert measured["macro_f1"] == pytest.approx(reference.f1_score(labels, predicted, average="macro"))
    assert measured["log_loss"] == pytest.approx(reference.log_loss(labels, probabilities))
    assert measured["auroc"] == pytest.approx(
        reference.roc_auc_score(one_hot, probabilities, average="macro")
    )


def test_confusion_and_per_class_agree_with_scikit_learn(answers):
    labels, probabilities = answers
    n_classes = probabilities.shape[1]
    predicted = probabilities.argmax(axis=1)
    confusion = confusion_matrix(labels, probabilities)
    assert (confusion == reference.confusion_matrix(labels, predicted, labels=range(n_classes))).all()
    report = reference.classification_report(labels, predicted, output_dict=True)
    for name, row in per_class_metrics(confusion, tuple(map(str, range(n_classes)))).items():
        assert row["f1"] == pytest.approx(report[name]["f1-score"])
        assert row["precision"] == pytest.approx(report[name]["precision"])
        assert row["recall"] == pytest.approx(report[name]["recall"])
        assert row["support"] == report[name]["support"]


def test_absent_classes_are_left_out_as_scikit_learn_does():
    labels = np.array([0, 0, 1, 1, 1])
    probabilities = softmax(np.eye(4)[[0, 1, 1, 1, 0]] * 3)
    measured = classification_metrics(labels, probabilities)
    predicted = probabilities.argmax(axis=1)
    assert measured["balanced_accuracy"] == pytest.approx(
        reference.balanced_accuracy_score(labels, predicted)
    )
    assert measured["macro_f1"] == pytest.approx(reference.f1_score(labels, predicted, average="macro"))


def test_auroc_is_left_out_where_only_one_class_is_present():
    measured = classification_metrics(np.zeros(4, dtype=int), np.ones((4, 1)))
    assert "auroc" not in measured
    assert measured["accuracy"] == 1


@pytest.mark.parametrize(("shares", "n"), [((0.5, 0.5), 150), ((0.9, 0.1), 300), ((0.6, 0.3, 0.1), 300)])
def test_standard_errors_are_those_of_a_bootstrap_over_images(shares, n):
    generator = np.random.default_rng(n)
    labels = generator.choice(len(shares), n, p=shares)
    probabilities = softmax(generator.normal(size=(n, len(shares))) + 1.5 * np.eye(len(shares))[labels])
    draws = []
    for _ in range(600):
        rows = generator.integers(0, n, n)
        draws.append(ranking_metrics(labels[rows], probabilities[rows]))
    measured = standard_errors(labels, probabilities)
    assert set(measured) == set(METRICS["classification"])
    for name, value in measured.items():
        assert value == pytest.approx(np.std([draw[name] for draw in draws]), rel=0.15)


def test_standard_error_of_accuracy_is_the_binomial_one():
    labels, probabilities = np.zeros(50, dtype=int), np.tile([0.9, 0.1], (50, 1))
    probabilities[:10] = [0.1, 0.9]
    measured = standard_errors(labels, probabilities)
    assert measured["accuracy"] == pytest.approx(np.sqrt(0.8 * 0.2 / 50))
    assert "auroc" not in measured
    assert standard_errors(labels[:0], probabilities[:0]) == {}


def test_standard_errors_of_folds_combine_as_of_a_mean_of_independent_numbers():
    assert combined_standard_error([0.03, 0.04]) == pytest.approx(0.025)


def test_a_judge_measures_each_part_by_itself():
    data_set = made_up_data_set()
    judge = Judge.of(data_set)
    right = np.eye(4)[judge.labels]
    right[judge.is_test] = np.roll(right[judge.is_test], 1, axis=1)
    entry, final = judge.metrics(right), judge.final(right)
    assert entry["validation"]["accuracy"] == 1
    assert entry["test"]["accuracy"] == final.metrics["accuracy"] == 0
    assert np.sum(final.confusion) == (data_set.parts == "test").sum()


def test_calibration_error_of_a_case_counted_by_hand():
    # two images at confidence .9, one right: gap .4; two at .6, both right: gap .4
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]])
    assert expected_calibration_error(np.array([0, 1, 0, 0]), probabilities) == pytest.approx(0.4)


def test_empty_part_has_no_metrics():
    assert classification_metrics(np.zeros(0, dtype=int), np.zeros((0, 3))) == {}


def test_probabilities_that_are_not_numbers_are_called_diverged():
    with pytest.raises(CvAutomlError, match="diverged"):
        classification_metrics(np.array([0]), np.array([[np.nan, 0.5]]))
