"""Every registered head keeps the contract; dense heads, neighbours and trees learn what can be learned."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss
from sklearn.preprocessing import StandardScaler

from lib.errors import CvAutomlError
from lib.zoo import checks
from lib.zoo.checks import failures, head_checks
from lib.zoo.heads import HEADS
from lib.zoo.heads.naive import NaiveHead
from tests.zoo.made_up import (
    embedding_like_features,
    made_up_data_set,
    made_up_job,
    separable_features,
)

CHECKS = [
    pytest.param(check, id=f"{head}: {name}") for head in HEADS for name, check in head_checks(HEADS[head]())
]


@pytest.mark.parametrize("check", CHECKS)
def test_every_head_keeps_the_contract(check):
    check()


class Forgetful(NaiveHead):
    """Leaves out the first epoch, and would be paired with anything."""

    def train(self, job):
        result = super().train(job)
        return replace(result, epochs=result.epochs[1:])

    def incompatibility(self, backbone, task, finetune):
        return None


def test_a_head_from_outside_that_breaks_the_contract_is_told_where():
    found = failures(head_checks(Forgetful()))
    assert [line.partition(":")[0] for line in found] == [
        "refuses a pair in a sentence",
        "measures every epoch (classification)",
        "measures every epoch (segmentation)",
    ]
    assert "an entry an epoch" in found[1]


@pytest.mark.parametrize(
    ("head", "parameters"),
    [("linear", 1_540), ("mlp", 57_796), ("student", 26_852), ("student_alone", 26_852), ("knn", 0)],
)
def test_heads_have_the_published_parameter_counts(head, parameters):
    assert HEADS[head]().parameters(384, 4) == parameters


@pytest.mark.parametrize("head", ["mlp", "student", "catboost"])
def test_another_seed_gives_another_training(head):
    first, second = (HEADS[head]().train(made_up_job(head, seed=seed, epochs=1)) for seed in (0, 1))
    assert first.epochs[0].train_loss != second.epochs[0].train_loss


def test_naive_head_answers_the_majority_class_of_the_train_part():
    data_set = made_up_data_set()
    counts = np.bincount(data_set.labels[data_set.indices("train")])
    test_labels = data_set.labels[data_set.indices("test")]
    result = HEADS["naive"]().train(made_up_job("naive", data_set))
    assert result.final.metrics["accuracy"] == pytest.approx((test_labels == counts.argmax()).mean())


@pytest.mark.parametrize("head", ["linear", "mlp", "catboost"])
def test_a_point_of_the_grid_does_not_depend_on_the_others(head):
    job = made_up_job(head, epochs=3)
    whole = HEADS[head]().train(job)
    alone = HEADS[head]().train(
        replace(
            job, recipe=job.recipe.model_copy(update={"grid": {k: (v,) for k, v in whole.chosen.items()}})
        )
    )
    if head == "catboost":  # fewer trees in all are grown at another rate
        assert alone.chosen == whole.chosen
    else:
        assert alone.final.metrics == pytest.approx(whole.final.metrics, abs=1e-4)


UNBALANCED = made_up_data_set(n=300, n_classes=3, shares=(0.85, 0.1, 0.05))


def reference_logistic(features, data_set, strengths):
    """scikit-learn's logistic regression of each C: Brier scores on validation, accuracies on test."""
    parts = {part: data_set.indices(part) for part in ("train", "validation", "test")}
    scaled = StandardScaler().fit(features[parts["train"]]).transform(features)
    for strength in strengths:
        model = LogisticRegression(C=strength, max_iter=2000, tol=1e-5)
        model.fit(scaled[parts["train"]], data_set.labels[parts["train"]])
        answers = model.predict_proba(scaled[parts["validation"]])
        brier = brier_score_loss(
            data_set.labels[parts["validation"]], answers, labels=range(3), scale_by_half=False
        )
        yield brier, model.score(scaled[parts["test"]], data_set.labels[parts["test"]])


def test_linear_is_scikit_learns_logistic_regression_with_its_c_chosen_on_validation():
    gaps, grid = [], (0.01, 1e-4, 1e-3, 0.1, 1.0)
    for seed in range(3):
        data_set = made_up_data_set(n=200, n_classes=3)
        features = embedding_like_features(data_set, seed=seed)
        result = HEADS["linear"]().train(made_up_job("linear", data_set, features=features, grid={"C": grid}))
        reference = list(reference_logistic(features, data_set, grid))
        scores = [point.validation for point in result.grid]
        assert scores == pytest.approx([1 - brier / 2 for brier, _ in reference], abs=0.005)
        gaps.append(result.final.metrics["accuracy"] - min(reference)[1])
        assert result.notes == ()
    assert abs(np.mean(gaps)) <= 0.005


def test_linear_with_little_freedom_answers_the_majority():
    features = separable_features(UNBALANCED, noise=8)
    result = HEADS["linear"]().train(
        made_up_job("linear", UNBALANCED, features=features, grid={"C": (1e-6,)})
    )
    naive = HEADS["naive"]().train(made_up_job("naive", UNBALANCED))
    assert result.final.metrics["accuracy"] == naive.final.metrics["accuracy"]


def test_the_batch_that_was_used_is_told():
    assert HEADS["mlp"]().train(made_up_job("mlp", epochs=1)).batch_size == 9  # 72 images, eight steps
    assert HEADS["linear"]().train(made_up_job("linear", epochs=1)).batch_size == 0


def test_neighbours_agree_with_a_vote_counted_by_hand():
    data_set = made_up_data_set(n=5, n_classes=2)
    features = np.array([[1, 0], [0.9, 0.1], [-1, 0], [0, 0], [0.8, 0.3]], dtype=np.float32)
    job = made_up_job(
        "knn",
        replace(data_set, labels=np.array([0, 0, 1, 0, 0])),
        features=features,
        grid={"neighbours": (1,), "temperature": (0.07,)},
    )
    result = HEADS["knn"]().train(job)
    assert result.final.metrics["accuracy"] == 1
    # one vote for class 0 and the uniform extra vote: (1 + 1/2) / 2
    assert result.predict(features[4:])[0] == pytest.approx([0.75, 0.25])


def test_more_neighbours_than_images_is_all_of_them():
    features = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32)
    answers = [
        HEADS["knn"]()
        .train(
            made_up_job(
                "knn",
                made_up_data_set(n=10, n_classes=2),
                features=features,
                grid={"neighbours": (k,), "temperature": (0.07,)},
            )
        )
        .predict(features)
        for k in (6, 500)
    ]
    assert (answers[0] == answers[1]).all()


def test_trees_leave_a_class_that_no_training_image_has_at_zero():
    data_set = made_up_data_set(n=60, n_classes=3)
    labels = data_set.labels.copy()
    labels[(data_set.parts == "train") & (labels == 2)] = 0
    object.__setattr__(data_set, "labels", labels)
    result = HEADS["catboost"]().train(made_up_job("catboost", data_set, epochs=2))
    assert (result.predict(separable_features(data_set))[:, 2] == 0).all()


def test_trees_on_one_class_are_refused_in_a_sentence():
    data_set = made_up_data_set(n=60)
    object.__setattr__(data_set, "labels", np.zeros(60, dtype=np.int64))
    with pytest.raises(CvAutomlError, match="two classes"):
        HEADS["catboost"]().train(made_up_job("catboost", data_set))


def test_features_that_are_not_numbers_are_named_with_their_file():
    job = made_up_job("linear")
    job.features[17, 3] = np.nan
    with pytest.raises(CvAutomlError, match=r"images/0017\.jpg"):
        HEADS["linear"]().train(job)


def test_a_diverging_training_is_refused_in_a_sentence():
    with pytest.raises(CvAutomlError, match="diverged"):
        grid = {"learning_rate": (1e30, 1e35), "weight_decay": (0.0,), "dropout": (0.1,)}
        HEADS["mlp"]().train(made_up_job("mlp", grid=grid, epochs=3))


def test_global_random_state_is_left_alone():
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    HEADS["mlp"]().train(made_up_job("mlp", epochs=1))
    assert torch.rand(1) == expected


def test_list_check_tells_each_head_and_fails_where_one_does(monkeypatch):
    lines = []
    monkeypatch.setattr(checks, "HEADS", {"knn": HEADS["knn"], "forgetful": Forgetful})
    assert checks.print_checked_heads(lines.append) == 1
    assert lines[0].startswith("forgetful: failed: refuses a pair") and lines[1:] == ["knn: ok"]
