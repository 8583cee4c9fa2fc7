"""Images at full resolution, kinds of masks, test-time flips, and a transformer below the decoder."""

import numpy as np
import pytest
import torch

from lib.zoo.backbones import open_backbone
from lib.zoo.base import InputSpec
from lib.zoo.heads import HEADS
from lib.zoo.segmentation.crops import Windows, stitched, tile_corners
from lib.zoo.segmentation.mask_network import MaskNetwork
from lib.zoo.segmentation.training import class_indices, train_masks
from tests.zoo.test_segmentation import job, made_up_set, squares

SPEC = InputSpec(32, 32, (0.5,) * 3, (0.5,) * 3, "bicubic", 1.0)


@pytest.mark.parametrize("size", [(256, 1600), (64, 64), (50, 33), (10, 10), (65, 64)])
def test_tiles_cover_every_pixel_and_stay_inside(size):
    covered = np.zeros(np.maximum(size, 64), int)
    for y, x in tile_corners(covered.shape, (64, 64)):
        assert 0 <= y <= covered.shape[0] - 64 and 0 <= x <= covered.shape[1] - 64
        covered[y : y + 64, x : x + 64] += 1
    assert covered.min() >= 1


def test_answers_to_tiles_are_put_together_where_they_belong():
    image = np.random.default_rng(0).integers(0, 255, (70, 150, 3), dtype=np.uint8)
    whole = stitched(image, (32, 48), 2, lambda tiles: torch.tensor(tiles[..., :2]).movedim(-1, 1) / 255, 3)
    np.testing.assert_allclose(whole.numpy(), np.moveaxis(image[..., :2], -1, 0) / 255, atol=1e-6)


def test_half_of_the_crops_of_an_image_show_its_defect():
    windows = Windows(made_up_set(), SPEC, "crops", seed=0)
    images, masks = windows.drawn(
        np.zeros(200, np.int64)
    )  # image 0: a square of 20 x 20 in a corner of 48 x 64
    assert images.shape == (200, 32, 32, 3) and masks.shape == (200, 2, 32, 32)
    assert (images[masks[:, 0]] == 255).all(), "image and mask are cut at the same place"
    alone = np.mean([squares(0)[0, y : y + 32, x : x + 32].any() for y in range(17) for x in range(33)])
    assert masks.any(axis=(1, 2, 3)).mean() == pytest.approx(0.5 + alone / 2, abs=0.08)


@pytest.mark.parametrize("kind", ["crops", "tiles"])
def test_windows_train_and_whole_images_are_judged(kind, unpretrained):
    small = {"image_height_px": 32, "image_width_px": 32, "epochs": 1}
    result = train_masks(job(unpretrained, options={"input": kind}, **small), "linear_mask")
    # Four test images with two classes each, one defect in half of them: counted once an image, not once a tile.
    assert sum(values["support"] for values in result.final.per_class.values()) == 2
    assert np.isfinite(result.epochs[0].train_loss)


def test_multiclass_masks_are_one_class_a_pixel_and_train(unpretrained):
    masks = torch.zeros(1, 2, 1, 3, dtype=torch.bool)
    masks[0, 0, 0, :2] = masks[0, 1, 0, 1] = True
    assert class_indices(masks).tolist() == [[[1, 2, 0]]]
    options = {"masks": "multiclass", "loss": "cross_entropy+dice"}
    given = job(unpretrained, made_up_set(n=40), epochs=8, learning_rate=5e-3, options=options)
    result = train_masks(given, "linear_mask")
    assert result.epochs[-1].train_loss < 0.8 * result.epochs[0].train_loss
    assert result.predict(np.zeros((1, 48, 64, 3), np.uint8)).sum(axis=1).max() <= 1 + 1e-5


def test_flips_average_the_answers_to_mirrored_images(unpretrained):
    backbone = open_backbone("test_resnet", unpretrained)
    recipe = job(unpretrained).recipe
    plain = MaskNetwork.of("linear_mask", backbone, recipe, 1).eval()
    flipping = MaskNetwork.of(
        "linear_mask", backbone, recipe.model_copy(update={"options": {"tta": "flips"}}), 1
    )
    flipping.load_state_dict(plain.state_dict())
    image = torch.randn(1, 3, 48, 64)
    with torch.no_grad():
        expected = torch.stack([plain(image.flip(d)).flip(d) for d in ((), (-1,), (-2,), (-1, -2))]).mean(0)
        torch.testing.assert_close(flipping.eval()(image), expected)


def test_dinov2_with_deeplabv3plus_trains_and_its_loss_falls(unpretrained):
    given = job(
        unpretrained,
        made_up_set(n=10),
        "vit_small_patch14_dinov2",
        epochs=4,
        learning_rate=5e-3,
        batch_size=3,
    )
    result = HEADS["deeplabv3plus"]().train(given)
    losses = [entry.train_loss for entry in result.epochs]
    assert losses[-1] < 0.85 * losses[0]


@pytest.mark.parametrize("sampling", ["natural", "balanced"])
def test_balanced_sampling_draws_images_with_rare_defects_as_often_as_clean_ones(sampling, unpretrained):
    from lib.zoo.segmentation.training import MaskTraining

    areas = np.stack([squares(i).sum(axis=(1, 2)) for i in range(20)])
    areas[:, 1] = 0
    areas[1::4, 0] = areas[4:, 0] = 0  # one image of the class is left
    data_set = made_up_set(parts=("train",), mask_areas=areas)
    training = MaskTraining(job(unpretrained, data_set, options={"sampling": sampling}), "linear_mask")
    drawn = np.concatenate([batch for _ in range(30) for batch in training._batches()])
    share = (areas[drawn, 0] > 0).mean()
    assert share == pytest.approx(0.5 if sampling == "balanced" else 1 / 20, abs=0.06)
