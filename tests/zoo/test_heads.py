"""Every registered head keeps the contract; dense heads, neighbours and trees learn what can be learned."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from lib.errors import CvAutomlError
from lib.zoo.heads import HEADS
from tests.zoo.made_up import made_up_backbone_info, made_up_data_set, made_up_job, separable_features

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
        assert {"accuracy", "balanced_accuracy", "macro_f1", "log_loss", "ece"} <= set(entry.test)
        assert set(entry.validation) == set(entry.test)
    assert result.final.metrics == result.epochs[-1].test
    confusion = np.array(result.final.confusion)
    assert confusion.sum() == (job.data_set.parts == "test").sum()
    assert np.trace(confusion) / confusion.sum() == pytest.approx(result.final.metrics["accuracy"])
    assert result.parameters == HEADS[head]().parameters(16, 4)


@pytest.mark.parametrize("head", CLASSIFICATION_HEADS)
def test_the_same_seed_gives_the_same_numbers(head):
    first, second = (HEADS[head]().train(made_up_job(head, seed=3, epochs=2)) for _ in range(2))
    assert first.epochs == second.epochs
    assert first.final == second.final


@pytest.mark.parametrize("head", ["linear", "mlp", "student"])
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


def test_neighbours_agree_with_a_vote_counted_by_hand():
    data_set = made_up_data_set(n=5, n_classes=2)
    features = np.array([[1, 0], [0.9, 0.1], [-1, 0], [0, 0], [0.8, 0.3]], dtype=np.float32)
    object.__setattr__(data_set, "labels", np.array([0, 0, 1, 0, 0]))
    job = made_up_job("knn", data_set, options={"neighbours": 1})
    result = HEADS["knn"]().train(type(job)(**{**vars(job), "features": features}))
    assert result.final.metrics["accuracy"] == 1
    # one vote for class 0 and the uniform extra vote: (1 + 1/2) / 2
    assert result.predict(features[4:])[0] == pytest.approx([0.75, 0.25])


def test_more_neighbours_than_images_is_all_of_them():
    job = made_up_job("knn", made_up_data_set(n=10, n_classes=2), options={"neighbours": 500}, epochs=1)
    assert HEADS["knn"]().train(job).final.metrics["accuracy"] >= 0


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
        HEADS["mlp"]().train(made_up_job("mlp", learning_rate=1e30, epochs=3))


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
