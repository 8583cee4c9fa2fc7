from pathlib import Path

import numpy as np
import pytest
import torch

from lib.config import Settings
from lib.zoo.backbones import backbone_names, describe_backbone, open_backbone
from lib.zoo.heads import HEADS
from lib.zoo.jobs import TrainingJob
from lib.zoo.recipes import recipe_for
from lib.zoo.segmentation.image_size import image_size
from lib.zoo.segmentation.training import naive_result


@pytest.fixture
def head():
    return HEADS["deeplabv3plus"]()


@pytest.mark.parametrize("name", backbone_names())
def test_every_curated_network_fits_and_handcrafted_is_refused_with_the_reason(name, head, unpretrained):
    reason = head.incompatibility(describe_backbone(name, unpretrained), "segmentation", finetune=False)
    if name == "handcrafted":
        assert "feature maps" in reason
    else:
        assert reason is None


def test_labels_are_not_its_task(head, unpretrained):
    info = describe_backbone("resnet18", unpretrained)
    assert "classification" in head.incompatibility(info, "classification", finetune=False)


def test_threshold_is_part_of_the_recipe(unpretrained):
    settings = Settings.model_validate({"segmentation": {"threshold": 0.3}})
    recipe = recipe_for("deeplabv3plus", "segmentation", settings, precision="fp32")
    assert recipe.options["threshold"] == 0.3


@pytest.mark.parametrize(
    ("sizes", "values", "expected"),
    [
        ([(256, 1600)], {}, (128, 800)),
        ([(200, 200)] * 3, {}, (192, 192)),
        ([(100, 300), (120, 310), (5000, 5000)], {}, (128, 320)),
        ([(10, 20)], {}, (32, 32)),
        ([(256, 1600)], {"input": "crops"}, (256, 256)),
        ([(256, 1600)], {"image_height_px": 64}, (64, 800)),
        (None, {}, (320, 320)),
    ],
)
def test_image_size_follows_the_data_set_where_the_settings_leave_it_open(sizes, values, expected):
    settings = Settings.model_validate({"segmentation": values}).segmentation
    assert image_size(settings, None if sizes is None else np.array(sizes)) == expected


def test_parameters_grow_with_classes_and_width(head):
    assert head.parameters(320, 5) - head.parameters(320, 4) == 257
    assert head.parameters(640, 4) > head.parameters(320, 4) > 100_000


def test_real_network_on_real_strips_learns(head, realdata: Path, weights_dir: Path, unpretrained):
    from lib.datasets import load_data_set

    settings = unpretrained.override(
        weights="pretrained",
        weights_dir=weights_dir,
        segmentation={"image_height_px": 32, "image_width_px": 208},
    )
    data_set = load_data_set(realdata / "severstal_subset", settings)
    backbone = open_backbone("mobilenetv2_100", settings)
    recipe = recipe_for("deeplabv3plus", "segmentation", settings, precision="fp32", epochs=2)
    job = TrainingJob(data_set, backbone, recipe, 0, torch.device("cpu"))
    result = head.train(job)
    assert backbone.info.weights_origin == "weights_dir"
    assert result.epochs[1].train_loss < result.epochs[0].train_loss
    assert 0 < result.final.metrics["dice"] < 1
    assert set(result.final.per_class) == {"1", "2", "3", "4"}
    naive = naive_result(job)
    # Clean pairs count 1 for an empty mask: 28 test images of 4 classes, of which 20 pairs hold a defect (resized ones as well).
    present = sum(values["support"] for values in naive.final.per_class.values())
    assert naive.final.metrics["dice"] == pytest.approx(1 - present / (28 * 4))
    assert np.isfinite(list(result.final.metrics.values())).all()
