"""Recipes hold what decides a head's result and nothing else."""

import pytest

from lib.config import ClassificationSettings, SegmentationSettings, Settings
from lib.zoo.heads import HEADS
from lib.zoo.pairing import heads_for
from lib.zoo.recipes import recipe_for


def recipe(head, settings=None, **values):
    return recipe_for(head, "classification", settings or Settings(), precision="fp32", **values)


def test_heads_keep_their_runs_when_a_setting_changes_that_is_not_theirs():
    changed = Settings(
        classification=ClassificationSettings(learning_rate=0.5, weight_decay=0.5, mlp_dropouts=(0.3,))
    )
    for head in ("knn", "linear", "catboost", "naive"):
        assert recipe(head) == recipe(head, changed)
    assert recipe("mlp", changed).grid["dropout"] == (0.3,)
    assert recipe("mlp", changed).learning_rate == 0  # the grid's are tried
    assert recipe("mlp", changed, finetune=True).learning_rate == 0.5


def test_options_and_grid_are_those_of_the_head_alone():
    perceptron = {"learning_rate", "weight_decay", "dropout"}
    assert {
        head: (set(recipe(head).options), set(recipe(head).grid)) for head in heads_for("classification")
    } == {
        "naive": (set(), set()),
        "linear": (set(), {"C"}),
        "mlp": (set(), perceptron),
        "student": ({"temperature", "distillation_weight"}, perceptron),
        "student_alone": (set(), perceptron),
        "tabular": ({"bins"}, perceptron),
        "knn": (set(), {"neighbours", "temperature"}),
        "catboost": ({"depth", "feature_share", "borders"}, {"iterations"}),
    }


def test_masks_take_their_size_from_the_segmentation_settings():
    settings = Settings(segmentation=SegmentationSettings(image_height_px=64, image_width_px=96, epochs=4))
    made = recipe_for("naive", "segmentation", settings, precision="fp32")
    assert (made.image_height_px, made.image_width_px, made.epochs) == (64, 96, 4)


def test_finetuning_has_a_learning_rate_of_its_own_for_the_backbone():
    made = recipe("linear", finetune=True)
    assert made.finetune
    assert made.options["backbone_learning_rate"] == Settings().finetune.learning_rate
    assert made.learning_rate == Settings().classification.learning_rate
    assert made.batch_size == Settings().finetune.batch_size


@pytest.mark.parametrize("head", list(HEADS))
def test_epochs_asked_for_replace_those_of_the_settings(head):
    task = HEADS[head]().tasks[0]
    assert recipe_for(head, task, Settings(), precision="fp32", epochs=3).epochs == 3
