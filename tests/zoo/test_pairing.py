"""A pair that cannot work is named with its reason before anything is trained."""

import pytest

from lib.errors import CvAutomlError
from lib.zoo.pairing import heads_for, incompatibility
from tests.zoo.made_up import made_up_backbone_info, made_up_data_set

NETWORK = made_up_backbone_info()
HANDCRAFTED = made_up_backbone_info("handcrafted", family="handcrafted")


def test_a_pair_that_fits_has_no_reason():
    assert incompatibility(made_up_data_set().info("own"), HANDCRAFTED, "linear", finetune=False) is None


@pytest.mark.parametrize(
    ("head", "task", "backbone", "finetune", "reason"),
    [
        ("linear", "segmentation", NETWORK, False, "asks for segmentation"),
        ("knn", "classification", NETWORK, True, "no gradient"),
        ("student", "classification", NETWORK, True, "fine-tune 'linear' or 'mlp'"),
        ("mlp", "classification", HANDCRAFTED, True, "no network"),
    ],
)
def test_a_pair_that_cannot_work_says_why(head, task, backbone, finetune, reason):
    data_set = made_up_data_set(task=task)
    assert reason in incompatibility(data_set.info("own"), backbone, head, finetune)


def test_a_set_without_test_images_says_so():
    info = made_up_data_set().info("own").model_copy(update={"n_test": 0})
    assert "test part" in incompatibility(info, NETWORK, "linear", finetune=False)


def test_a_set_of_one_class_says_so():
    assert "one class" in incompatibility(made_up_data_set(n_classes=1).info("own"), NETWORK, "linear", False)


def test_heads_that_fit_a_task():
    assert {"naive", "linear", "mlp", "student", "knn", "catboost"} <= set(heads_for("classification"))
    assert "naive" in heads_for("segmentation")
    assert "linear" not in heads_for("segmentation")
    assert set(heads_for("classification", finetune=True)) == {"linear", "mlp"}


def test_an_unknown_head_is_answered_with_the_nearest_name():
    with pytest.raises(CvAutomlError, match="did you mean linear"):
        incompatibility(made_up_data_set().info("own"), NETWORK, "lineer", finetune=False)
