from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
from sklearn.metrics import accuracy_score, jaccard_score, precision_score, recall_score

from lib.datasets.base import Card, DataSet
from lib.errors import DataSetError, TooLittleDataError
from lib.features.cache import FeatureCache
from lib.records import Recipe
from lib.records.schema import METRICS
from lib.zoo.backbones import backbone_names, open_backbone
from lib.zoo.heads import HEADS
from lib.zoo.jobs import TrainingJob
from lib.zoo.preprocessing import SizedImages, normalised_tensor, resized_mask
from lib.zoo.segmentation import frozen_maps
from lib.zoo.segmentation.decoders import DECODERS, DeepLabV3Plus
from lib.zoo.segmentation.frozen_maps import FrozenMaps
from lib.zoo.segmentation.metrics import (
    PixelCounts,
    final_mask_metrics,
    mask_intervals,
    mask_metrics,
    mask_standard_errors,
)
from lib.zoo.segmentation.pyramid import Pyramid, grid_sizes
from lib.zoo.segmentation.training import naive_result, train_masks, training_batches

SMALL = "test_resnet"
NETWORKS = [name for name in backbone_names() if name != "handcrafted"]


class Squares(DataSet):
    """Grey images, in half of which a bright square (class 0) or a dark one (class 1) is the defect."""

    def read_image(self, index):
        image = np.random.default_rng(index).integers(100, 140, (48, 64, 1), dtype=np.uint8)
        for layer, value in zip(squares(index), (255, 0), strict=True):
            image[layer] = value
        return np.repeat(image, 3, axis=2)


def squares(index):
    masks = np.zeros((2, 48, 64), bool)
    if index % 4 < 2:
        y, x = (8 * index) % 24, (12 * index) % 36
        masks[index % 4, y : y + 20, x : x + 20] = True
    return masks


def made_up_set(n=20, parts=("train", "train", "train", "validation", "test"), **values):
    card = Card(name="squares", task="segmentation", layout="masks", classes=("bright", "dark"))
    facts = {
        "name": "squares", "card": card, "root": Path("nowhere"), "task": "segmentation", "classes": card.classes,
        "files": tuple(f"{i:03}.jpg" for i in range(n)), "parts": np.array(list(parts) * n)[:n],
        "fingerprint": "f", "images_fingerprint": "i", "read_mask": squares,
    }  # fmt: skip
    return Squares(**facts | values)


def job(settings, data_set=None, name=SMALL, seed=0, on_epoch=lambda entry: None, **recipe):
    values = {
        "epochs": 2,
        "batch_size": 4,
        "learning_rate": 1e-3,
        "weight_decay": 1e-4,
        "image_height_px": 48,
        "image_width_px": 64,
    }
    return TrainingJob(
        data_set=data_set or made_up_set(),
        backbone=open_backbone(name, settings),
        recipe=Recipe(**values | recipe),
        seed=seed,
        device=torch.device("cpu"),
        on_epoch=on_epoch,
    )


def counts(predicted, target):
    return PixelCounts.of(torch.tensor(predicted).bool(), torch.tensor(target).bool())


def background_iou(predicted, target):
    answer, truth = (~np.array(masks, bool).any(axis=1) for masks in (predicted, target))
    return (answer & truth).sum() / (answer | truth).sum()


def test_mean_dice_of_a_case_by_hand():
    # Two images of 1 x 4 pixels, two classes.
    target = [[[[1, 1, 0, 0]], [[0, 0, 0, 0]]], [[[0, 0, 0, 0]], [[1, 0, 0, 0]]]]
    predicted = [[[[0, 1, 1, 0]], [[0, 0, 0, 0]]], [[[1, 0, 0, 0]], [[1, 1, 0, 0]]]]
    # Dice of the pairs: 2·1/(2+2) = 1/2; both empty = 1; truth empty, answer not = 0; 2·1/(1+2) = 2/3.
    measured = mask_metrics(counts(predicted, target))
    assert measured["dice"] == pytest.approx((1 / 2 + 1 + 0 + 2 / 3) / 4)
    assert measured["iou"] == pytest.approx((1 / 3 + 1 + 0 + 1 / 2) / 4)
    assert measured["defect_dice"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert measured["miou"] == pytest.approx((1 / 4 + 1 / 2 + background_iou(predicted, target)) / 3)
    assert measured["pixel_precision"] == pytest.approx(2 / 5)
    assert measured["pixel_recall"] == pytest.approx(2 / 3)
    assert measured["image_accuracy"] == pytest.approx(3 / 4)


def test_mean_dice_is_kaggles_by_its_own_formula():
    generator = np.random.default_rng(3)
    target, predicted = (generator.random((6, 4, 8, 9)) < share for share in (0.03, 0.05))
    expected = []
    for p, t in zip(predicted.reshape(24, -1), target.reshape(24, -1), strict=True):
        expected.append(1.0 if not p.any() and not t.any() else 2 * (p & t).sum() / (p.sum() + t.sum()))
    assert mask_metrics(counts(predicted, target))["dice"] == pytest.approx(np.mean(expected), rel=1e-6)


def test_per_class_metrics_are_those_of_the_class_alone():
    target = [[[[1, 0]], [[0, 0]]]]
    final = final_mask_metrics(counts([[[[1, 0]], [[1, 0]]]], target), ("a", "b"))
    assert (final.per_class["a"]["dice"], final.per_class["b"]["dice"]) == (1, 0)
    assert (final.per_class["a"]["support"], final.per_class["b"]["support"]) == (1, 0)
    assert "defect_dice" not in final.per_class["b"]


def random_masks(n=40):
    generator = np.random.default_rng(5)
    share = generator.random((n, 3, 1, 1)) * (generator.random((n, 3, 1, 1)) < 0.6)
    target = generator.random((n, 3, 6, 7)) < share
    return target ^ (generator.random(target.shape) < 0.1), target


def test_pooled_metrics_are_those_of_scikit_learn_on_all_pixels():
    predicted, target = random_masks()
    predicted, target = (m & (m.cumsum(axis=1) == 1) for m in (predicted, target))  # one class a pixel
    measured = mask_metrics(counts(predicted, target))
    answers, truths = (np.where(m.any(1), m.argmax(1) + 1, 0).ravel() for m in (predicted, target))
    ious = jaccard_score(truths, answers, average=None)
    assert measured["miou"] == pytest.approx(ious.mean())
    assert measured["class_iou"] == pytest.approx(ious[1:].mean())
    assert measured["pixel_accuracy"] == pytest.approx(accuracy_score(truths, answers))
    final = final_mask_metrics(counts(predicted, target), ("a", "b", "c"))
    assert [final.per_class[name]["class_iou"] for name in "abc"] == pytest.approx(ious[1:].tolist())


def test_image_precision_and_recall_are_those_of_scikit_learn_on_classes_found():
    generator = np.random.default_rng(2)
    target, predicted = (generator.random((30, 2, 3, 3)) < 0.1 for _ in range(2))
    found, asked = predicted.any(axis=(2, 3)), target.any(axis=(2, 3))
    final = final_mask_metrics(counts(predicted, target), ("a", "b"))
    for name, score in (("image_precision", precision_score), ("image_recall", recall_score)):
        assert final.metrics[name] == pytest.approx(score(asked, found, average="micro"))
        assert final.per_class["b"][name] == pytest.approx(score(asked[:, 1], found[:, 1]))


def test_counts_and_mean_dice_are_those_of_segmentation_models_pytorch():
    predicted, target = (torch.tensor(m) for m in random_masks())
    measured, stats = (
        PixelCounts.of(predicted, target),
        smp.metrics.get_stats(predicted.long(), target.long(), mode="multilabel"),
    )
    for name, expected in zip(("tp", "fp", "fn", "tn"), stats, strict=True):
        assert torch.equal(getattr(measured, name), expected)
    expected = smp.metrics.f1_score(*stats, reduction="macro-imagewise", zero_division=1.0)
    assert mask_metrics(measured)["dice"] == pytest.approx(float(expected))


def test_standard_errors_of_masks_are_those_of_a_bootstrap_over_images():
    predicted, target = random_masks(60)
    generator = np.random.default_rng(0)
    draws = []
    for _ in range(400):
        rows = generator.integers(0, 60, 60)
        draws.append(mask_metrics(counts(predicted[rows], target[rows])))
    measured = mask_standard_errors(counts(predicted, target))
    assert set(measured) == {"dice", "defect_dice", "miou"}
    intervals = mask_intervals(counts(predicted, target))
    for name, value in measured.items():
        values = [draw[name] for draw in draws]
        assert value == pytest.approx(np.std(values), rel=0.15)
        assert intervals[name] == pytest.approx(np.quantile(values, (0.025, 0.975)), abs=0.4 * value)


def test_empty_part_has_no_metrics():
    assert mask_metrics(counts(np.zeros((0, 2, 3, 3)), np.zeros((0, 2, 3, 3)))) == {}


def test_masks_keep_their_shape_and_overlap_when_resized():
    mask = np.zeros((2, 10, 20), bool)
    mask[0, :5] = mask[1, 3:8] = True
    half = resized_mask(mask, 5, 10)
    assert half.shape == (2, 5, 10) and half.dtype == bool
    assert resized_mask(mask, 10, 20) is mask
    np.testing.assert_array_equal(resized_mask(resized_mask(mask, 20, 40), 10, 20), mask)


def test_packed_masks_and_images_come_back_as_they_were(unpretrained):
    data_set = made_up_set()
    sized = SizedImages.of(data_set, open_backbone(SMALL, unpretrained).input, 48, 64)
    for _ in range(2):
        np.testing.assert_array_equal(sized.masks(np.array([3, 1])), np.stack([squares(3), squares(1)]))
        np.testing.assert_array_equal(sized.images(np.array([5, 0]))[0], data_set.read_image(5))


def test_set_without_masks_is_refused(unpretrained):
    with pytest.raises(DataSetError, match="has no masks"):
        naive_result(job(unpretrained, made_up_set(read_mask=None)))


@pytest.mark.parametrize("size", [(128, 800), (100, 70), (33, 17)])
def test_fine_grid_is_four_times_the_coarse_one_and_covers_the_image(size):
    fine, coarse = grid_sizes(*size, (4, 16))
    assert fine == (4 * coarse[0], 4 * coarse[1])
    assert all(16 * c >= side > 16 * (c - 1) for c, side in zip(coarse, size, strict=True))


@pytest.mark.parametrize(
    "name", [*NETWORKS, "test_vit", "test_convnext", "test_efficientnet", "swin_tiny_patch4_window7_224"]
)
def test_every_network_gives_a_pyramid_of_a_strip(name, unpretrained):
    pyramid = Pyramid(open_backbone(name, unpretrained), 32, 80).eval()
    with torch.no_grad():
        fine, coarse = pyramid(torch.zeros(1, 3, 32, 80))
        logits = DeepLabV3Plus(pyramid.channels, 2).eval()((fine, coarse))
    assert fine.shape == (1, pyramid.channels[0], 8, 20)
    assert coarse.shape == (1, pyramid.channels[1], 2, 5)
    assert logits.shape == (1, 2, 32, 80)


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_convnext", "tf_mobilenetv3_small_100"])
def test_every_decoder_sits_on_every_kind_of_network(name, decoder, unpretrained):
    recipe = Recipe(
        epochs=1, batch_size=2, learning_rate=1, weight_decay=0, image_height_px=40, image_width_px=72
    )
    network = HEADS[decoder]().network(open_backbone(name, unpretrained), recipe, 2).eval()
    with torch.no_grad():
        probabilities = network(torch.randn(2, 3, 40, 72))
    assert probabilities.shape == (2, 2, 40, 72)
    assert 0 <= probabilities.min() <= probabilities.max() <= 1


def test_pyramid_of_a_transformer_sees_where_things_are(unpretrained):
    pyramid = Pyramid(open_backbone("test_vit", unpretrained), 64, 128).eval()
    image = torch.zeros(1, 3, 64, 128)
    image[..., 96:] = 3.0
    with torch.no_grad():
        change = (pyramid(image)[0] - pyramid(torch.zeros_like(image))[0]).abs().mean((0, 1, 2))
    assert change[24:].mean() > 2 * change[:16].mean()


def frozen(settings, disk=None):
    backbone = open_backbone(SMALL, settings)
    sized = SizedImages.of(made_up_set(), backbone.input, 48, 64)
    pyramid = Pyramid(backbone, 48, 64)
    return FrozenMaps(pyramid, sized, torch.device("cpu"), "fp32", disk, backbone.cache_key)


def test_kept_maps_are_those_computed_anew(unpretrained, monkeypatch):
    keeping = frozen(unpretrained)
    first, again = keeping.of(np.array([2, 5])), keeping.of(np.array([5, 2]))
    torch.testing.assert_close(first[0][0], again[0][1])
    monkeypatch.setattr(frozen_maps, "KEPT_BYTES", 0)
    forgetting = frozen(unpretrained)
    torch.testing.assert_close(forgetting.of(np.array([2, 5]))[1], first[1])
    assert not forgetting.maps.kept and len(keeping.maps.kept) == 2
    images = torch.from_numpy(keeping.sized.images(np.array([2])))
    exact = keeping.pyramid.own_maps(normalised_tensor(images, keeping.sized.spec))
    torch.testing.assert_close(exact[1][0], first[1][0], rtol=1e-3, atol=1e-4)


def test_maps_on_disk_serve_another_run_and_the_oldest_go_first(unpretrained, monkeypatch):
    disk = FeatureCache(unpretrained.cache_dir / "maps", 1.0)
    first = frozen(unpretrained, disk).of(np.array([1, 3]))
    another = frozen(unpretrained, disk)
    monkeypatch.setattr(another, "_compute", lambda rest: pytest.fail(f"computed again: {rest}"))
    for kept, level in zip(another.of(np.array([3, 1])), first, strict=True):
        assert torch.equal(kept.flip(0), level)
    assert another.saved_s > 0
    files = list(disk.folder.iterdir())
    small = FeatureCache(disk.folder, sum(file.stat().st_size for file in files) / 1e9)
    frozen(unpretrained, small).of(np.array([7]))
    left = list(disk.folder.iterdir())
    assert len(files) == len(left) == 2 and set(files) != set(left)


@pytest.mark.parametrize(("n", "size"), [(9, 4), (8, 4), (1, 4), (5, 2), (3, 1), (2, 8)])
def test_every_image_is_in_a_batch_of_at_least_two(n, size):
    batches = list(training_batches(np.arange(n), size))
    assert sorted(set(np.concatenate(batches))) == list(range(n))
    assert all(2 <= len(batch) <= size + 1 or size == 1 for batch in batches)
    assert min(map(len, batches)) >= 2


def test_naive_is_the_empty_mask_in_every_epoch(unpretrained):
    seen = []
    data_set = made_up_set(n=20, parts=("test",))
    result = naive_result(job(unpretrained, data_set, epochs=3, on_epoch=seen.append))
    # Of 20 x 2 pairs, 10 have a defect: an empty mask is right in the others.
    assert [entry.test["dice"] for entry in seen] == [0.75] * 3
    assert result.final.metrics["defect_dice"] == 0 and result.parameters == 0
    assert result.final.per_class["bright"]["support"] == 5


def test_decoder_learns_to_beat_the_empty_mask(unpretrained):
    given = job(unpretrained, made_up_set(n=40), epochs=12, learning_rate=5e-3)
    result = train_masks(given, "deeplabv3plus")
    losses = [entry.train_loss for entry in result.epochs]
    assert losses[-1] < 0.6 * losses[0]
    assert result.final.metrics["dice"] > naive_result(given).final.metrics["dice"]
    assert result.epochs[-1].test.items() <= result.final.metrics.items()
    assert result.validation == result.epochs[-1].validation and "dice_raw" in result.final.metrics
    assert set(METRICS["segmentation"]) == set(result.final.standard_error) < set(result.final.metrics)


def test_same_seed_same_numbers(unpretrained):
    first, second, other = (
        train_masks(job(unpretrained, seed=seed), "deeplabv3plus").epochs for seed in (1, 1, 2)
    )
    assert first == second != other


def test_training_tells_parameters_epochs_and_predicts_probabilities(unpretrained):
    seen = []
    result = train_masks(job(unpretrained, on_epoch=seen.append), "deeplabv3plus")
    assert tuple(seen) == result.epochs and [entry.epoch for entry in seen] == [1, 2]
    pyramid = Pyramid(open_backbone(SMALL, unpretrained), 48, 64)
    assert result.parameters == sum(p.numel() for p in DeepLabV3Plus(pyramid.channels, 2).parameters())
    probabilities = result.predict(np.zeros((2, 48, 64, 3), np.uint8))
    assert probabilities.shape == (2, 2, 48, 64) and 0 <= probabilities.min() <= probabilities.max() <= 1


def test_frozen_backbone_stays_and_a_fine_tuned_one_changes(unpretrained, monkeypatch):
    changes = {}
    for finetune in (False, True):
        given = job(unpretrained, finetune=finetune, options={"backbone_learning_rate": 1e-3})
        copies = []
        original = given.backbone.feature_module
        monkeypatch.setattr(
            given.backbone, "feature_module", lambda o=original, c=copies, **k: c.append(o(**k)) or c[-1]
        )
        train_masks(given, "deeplabv3plus")
        before, after = original().state_dict(), copies[-1].state_dict()
        changes[finetune] = sum(not torch.equal(before[key], after[key]) for key in before)
        assert all(torch.equal(before[k], after[k]) for k in before if "running" in k), (
            "batch statistics stay"
        )
    assert changes[False] == 0 and changes[True] > 10


def test_set_without_train_part_is_told_so(unpretrained):
    with pytest.raises(TooLittleDataError, match="no train part"):
        train_masks(job(unpretrained, made_up_set(parts=("test",))), "deeplabv3plus")


def test_set_without_validation_part_still_trains(unpretrained):
    result = train_masks(job(unpretrained, made_up_set(parts=("train", "test")), epochs=1), "deeplabv3plus")
    assert result.epochs[0].validation == {} and "dice" in result.epochs[0].test


def test_bf16_trains_to_finite_numbers(unpretrained):
    result = train_masks(job(unpretrained, precision="bf16"), "deeplabv3plus")
    assert np.isfinite([entry.train_loss for entry in result.epochs]).all()


def test_memory_shortage_reaches_the_benchmark_which_halves_the_batch(unpretrained, monkeypatch):
    given = job(unpretrained)
    monkeypatch.setattr(
        FrozenMaps, "of", lambda self, batch: (_ for _ in ()).throw(RuntimeError("CUDA out of memory"))
    )
    with pytest.raises(RuntimeError, match="out of memory"):
        train_masks(replace(given, seed=1), "deeplabv3plus")
