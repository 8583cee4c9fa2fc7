"""Recipes hold what decides a head's result and nothing else."""

import pytest

from lib.config import ClassificationSettings, SegmentationSettings, Settings
from lib.zoo.heads import HEADS
from lib.zoo.recipes import recipe_for


def test_a_neighbour_keeps_its_runs_when_the_learning_rate_changes():
    changed = Settings(classification=ClassificationSettings(learning_rate=0.5, batch_size=7))
    assert recipe_for("knn", "classification", Settings(), precision="fp32") == recipe_for(
        "knn", "classification", changed, precision="fp32"
    )
    assert recipe_for("mlp", "classification", changed, precision="fp32").learning_rate == 0.5


def test_options_are_those_of_the_head_alone():
    options = {
        head: set(recipe_for(head, "classification", Settings(), precision="fp32").options)
        for head in ("naive", "linear", "mlp", "student", "knn")
    }
    assert options == {
        "naive": set(),
        "linear": {"label_smoothing"},
        "mlp": {"label_smoothing", "dropout"},
        "student": {"label_smoothing", "dropout", "temperature", "distillation_weight"},
        "knn": {"neighbours"},
    }


def test_masks_take_their_size_from_the_segmentation_settings():
    settings = Settings(segmentation=SegmentationSettings(image_height_px=64, image_width_px=96, epochs=4))
    recipe = recipe_for("naive", "segmentation", settings, precision="fp32")
    assert (recipe.image_height_px, recipe.image_width_px, recipe.epochs) == (64, 96, 4)


def test_finetuning_has_a_learning_rate_of_its_own_for_the_backbone():
    recipe = recipe_for("linear", "classification", Settings(), precision="bf16", finetune=True)
    assert recipe.finetune
    assert recipe.options["backbone_learning_rate"] == Settings().finetune.learning_rate
    assert recipe.batch_size == Settings().finetune.batch_size


@pytest.mark.parametrize("head", list(HEADS))
def test_epochs_asked_for_replace_those_of_the_settings(head):
    task = HEADS[head]().tasks[0]
    assert recipe_for(head, task, Settings(), precision="fp32", epochs=3).epochs == 3
