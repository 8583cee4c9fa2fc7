"""Every registered head keeps the contract; dense heads, neighbours and trees learn what can be learned."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss
from sklearn.preprocessing import StandardScaler

from lib.errors import CvAutomlError
from lib.records.schema import METRICS
from lib.zoo.heads import HEADS
from tests.zoo.made_up import (
    embedding_like_features,
    made_up_backbone_info,
    made_up_data_set,
    made_up_job,
    separable_features,
)

CLASSIFICATION_HEADS = [name for name in HEADS if "classification" in HEADS[name]().tasks]


@pytest.mark.parametrize(
    ("head", "parameters"), [("linear", 1_540), ("mlp", 57_796), ("student", 26_852), ("knn", 0)]
)
def test_heads_have_the_published_parameter_counts(head, parameters):
    assert HEADS[head]().parameters(384, 4) == parameters


@pytest.mark.parametrize("head", CLASSIFICATION_HEADS)
def test_every_head_measures_every_epoch_and_the_test_part(head):
    job = made_up_job(head, epochs=3)
    seen = []
    result = HEADS[head]().train(type(job)(**{**vars(job), "on_epoch": seen.append}))
    assert [entry.epoch for entry in result.epochs] == [1, 2, 3]
    assert tuple(seen) == result.epochs
    for entry in result.epochs:
        assert set(entry.test) == set(entry.validation) == set(METRICS["classification"])
    assert result.validation == result.epochs[-1].validation
    assert {**result.final.metrics, **result.epochs[-1].test} == result.final.metrics
    assert set(result.final.standard_error) == set(METRICS["classification"])
    assert {"log_loss", "ece"} < set(result.final.metrics)
    confusion = np.array(result.final.confusion)
    assert confusion.sum() == (job.data_set.parts == "test").sum()
    assert np.trace(confusion) / confusion.sum() == pytest.approx(result.final.metrics["accuracy"])
    assert result.parameters == HEADS[head]().parameters(16, 4)


@pytest.mark.parametrize("head", CLASSIFICATION_HEADS)
def test_the_same_seed_gives_the_same_numbers(head):
    first, second = (HEADS[head]().train(made_up_job(head, seed=3, epochs=2)) for _ in range(2))
    assert first.epochs == second.epochs
    assert first.final == second.final


@pytest.mark.parametrize("head", ["mlp", "student", "catboost"])
def test_another_seed_gives_another_training(head):
    first, second = (HEADS[head]().train(made_up_job(head, seed=seed, epochs=1)) for seed in (0, 1))
    assert first.epochs[0].train_loss != second.epochs[0].train_loss


@pytest.mark.parametrize("head", CLASSIFICATION_HEADS)
def test_a_set_without_a_validation_part_trains(head):
    result = HEADS[head]().train(made_up_job(head, made_up_data_set(validation=False), epochs=2))
    assert all(entry.validation == {} and entry.test for entry in result.epochs)


@pytest.mark.parametrize("head", [name for name in CLASSIFICATION_HEADS if name != "naive"])
def test_heads_on_separable_features_come_close_to_logistic_regression(head):
    data_set = made_up_data_set(n=400)
    job = made_up_job(head, data_set)
    train, test = data_set.indices("train"), data_set.indices("test")
    reference = LogisticRegression().fit(job.features[train], data_set.labels[train])
    wanted = reference.score(job.features[test], data_set.labels[test])
    assert HEADS[head]().train(job).final.metrics["accuracy"] > wanted - 0.05


@pytest.mark.parametrize("head", [name for name in CLASSIFICATION_HEADS if name != "naive"])
def test_predict_answers_as_the_final_metrics_were_measured(head):
    job = made_up_job(head, epochs=2)
    result = HEADS[head]().train(job)
    test = job.data_set.indices("test")
    scores = result.predict(job.features[test])
    assert scores.shape == (len(test), 4)
    accuracy = (scores.argmax(axis=1) == job.data_set.labels[test]).mean()
    assert accuracy == pytest.approx(result.final.metrics["accuracy"])


def test_naive_head_answers_the_majority_class_of_the_train_part():
    data_set = made_up_data_set()
    counts = np.bincount(data_set.labels[data_set.indices("train")])
    test_labels = data_set.labels[data_set.indices("test")]
    result = HEADS["naive"]().train(made_up_job("naive", data_set))
    assert result.final.metrics["accuracy"] == pytest.approx((test_labels == counts.argmax()).mean())


@pytest.mark.parametrize("head", [name for name in CLASSIFICATION_HEADS if name != "naive"])
def test_the_grid_is_tried_and_its_best_on_validation_chosen(head):
    job = made_up_job(head, epochs=2)
    result = HEADS[head]().train(job)
    assert len(result.grid) == np.prod([len(values) for values in job.recipe.grid.values()]) > 1
    best = max(result.grid, key=lambda point: point.validation)
    assert result.chosen == best.settings


@pytest.mark.parametrize("head", [name for name in CLASSIFICATION_HEADS if name != "naive"])
def test_no_choice_moves_when_the_test_labels_do(head):
    data_set = made_up_data_set()
    features = separable_features(data_set, noise=3)
    other = data_set.labels.copy()
    test = data_set.indices("test")
    other[test] = np.random.default_rng(0).permutation(other[test])
    one, two = (
        HEADS[head]().train(made_up_job(head, one_set, features=features, epochs=2))
        for one_set in (data_set, replace(data_set, labels=other))
    )
    assert (one.chosen, one.grid, one.validation) == (two.chosen, two.grid, two.validation)
    assert one.final != two.final


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


@pytest.mark.parametrize("head", [name for name in CLASSIFICATION_HEADS if name != "naive"])
@pytest.mark.parametrize("seed", [0, 1])
def test_on_features_that_say_nothing_no_head_falls_below_the_majority(head, seed):
    noise = np.random.default_rng(seed).normal(size=(300, 64)).astype(np.float32)
    result = HEADS[head]().train(made_up_job(head, UNBALANCED, features=noise))
    naive = HEADS["naive"]().train(made_up_job("naive", UNBALANCED)).final.metrics["accuracy"]
    assert result.final.metrics["accuracy"] > naive - max(result.final.standard_error["accuracy"], 0.04)


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


@pytest.mark.parametrize("head", list(HEADS))
def test_every_head_names_why_it_cannot_be_paired(head):
    part = HEADS[head]()
    assert part.name == head
    for task in ("classification", "segmentation"):
        resnet = made_up_backbone_info("resnet18", input_size_px=224)
        reason = part.incompatibility(resnet, task, finetune=False)
        assert (reason is None) == (task in part.tasks)
    reason = part.incompatibility(made_up_backbone_info(family="handcrafted"), part.tasks[0], finetune=True)
    assert reason
