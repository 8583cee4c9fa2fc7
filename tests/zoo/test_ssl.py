"""Self-supervised tuning: it learns without collapse, never sees a test image, goes on where it stopped, and stands in the zoo."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from lib.datasets import DataSet, load_data_set
from lib.errors import CvAutomlError, WeightsError
from lib.zoo.backbones import describe_backbone, open_backbone
from lib.zoo.network import has_feature_maps
from lib.zoo.ssl.distillation import (
    STUDENT_TEMPERATURE,
    Projection,
    between,
    collapse_warning,
    distillation_loss,
    embedding_spread,
    entropies,
)
from lib.zoo.ssl.leaks import leak
from lib.zoo.ssl.lora import add_lora, merge_lora
from lib.zoo.ssl.networks import choose_trained, local_size_px, student_and_teacher, trainable
from lib.zoo.ssl.tuning import Plan, Watch, tune
from lib.zoo.ssl.views import multi_crops
from lib.zoo.tuned import tuned_name, tuned_names
from lib.zoo.weights import WeightsCard
from tests.datasets.made_up import folders

NETWORK = "test_resnet"  # timm's own miniatures
VIT = "test_vit"


@pytest.fixture
def tiny(settings, tmp_path):
    """Settings with random weights and a short recipe, and 12 images of two classes."""
    short = settings.ssl.model_copy(
        update={
            "batch_size": 6,
            "local_views": 1,
            "local_size_px": 48,
            "prototypes": 32,
            "learning_rate": 3e-4,
        }
    )
    chosen = settings.override(weights="random", device="cpu", precision="fp32", ssl=short.model_dump())
    root = folders(tmp_path / "datasets" / "tiny", {"fine": 6, "coarse": 6})
    return chosen, load_data_set(root, chosen)


def plan_of(tiny, name=NETWORK, **how) -> Plan:
    settings, data_set = tiny
    return Plan.of(data_set, name, settings, **{"epochs": 2, **how})


def test_the_loss_falls_and_nothing_collapses(tiny):
    settings, _ = tiny
    more = folders(settings.datasets_dir / "more", {"fine": 12, "coarse": 12})
    plan = plan_of((settings, load_data_set(more, settings)), epochs=4, train="all")
    tuned = tune(plan, Watch())
    first, last = tuned.curve[0], tuned.curve[-1]
    assert last.loss < first.loss - 0.3
    assert last.spread_entropy - last.teacher_entropy > 0.3
    assert not tuned.warnings


def test_the_test_images_are_left_alone(tiny, monkeypatch):
    read = []
    original = DataSet.read_image
    monkeypatch.setattr(DataSet, "read_image", lambda self, i: (read.append(i), original(self, i))[1])
    tune(plan_of(tiny, epochs=1), Watch())
    data_set = tiny[1]
    tested = data_set.fold("folds", 0).indices("test")
    assert len(tested) and set(read) == set(range(len(data_set))) - set(tested.tolist())


def test_a_transductive_tuning_sees_all_and_says_so(tiny):
    settings, data_set = tiny
    plan = plan_of(tiny, epochs=1, transductive=True)
    assert tune(plan, Watch()).n_images == len(data_set)
    assert describe_backbone(plan.name, settings).pretraining_method.endswith("(transductive)")
    assert leak(plan.name, data_set, "folds", range(5), settings) is None


def test_folds_whose_test_images_were_seen_are_refused(tiny):
    settings, data_set = tiny
    plan = plan_of(tiny, epochs=1)
    tune(plan, Watch())
    assert leak(plan.name, data_set, "folds", [0], settings) is None
    assert "fold 2, 3 tests" in (leak(plan.name, data_set, "folds", [0, 1, 2], settings) or "")
    assert leak(NETWORK, data_set, "folds", [1], settings) is None
    patches = load_data_set(folders(settings.datasets_dir / "patches", {"fine": 30, "other": 30}), settings)
    fresh = replace(patches, parent=data_set.name, files=patches.files[12:30] + patches.files[42:])
    rows = [*range(12, 30), *range(42, 60)]
    fresh = replace(fresh, folds=tuple(fold[rows] for fold in patches.folds), parts=patches.parts[rows])
    assert "a relative" in (leak(plan.name, fresh, "folds", [0], settings) or "")
    assert leak(plan.name, replace(fresh, parent=None), "folds", [0], settings) is None


def test_a_resumed_tuning_equals_an_uninterrupted_one(tiny):
    plan = plan_of(tiny, VIT, epochs=3, train="lora")
    whole = tune(plan, Watch())
    weights = plan.files[0].read_bytes()
    for path in plan.files:
        path.unlink()

    class Stop(Exception):
        pass

    def stop(entry):
        if entry.epoch == 2:
            raise Stop

    with pytest.raises(Stop):
        tune(plan, Watch(on_epoch=stop))
    told = []
    again = tune(plan, Watch(on_epoch=told.append))
    assert [entry.epoch for entry in told] == [3]
    assert [entry.loss for entry in again.curve] == [entry.loss for entry in whole.curve]
    assert plan.files[0].read_bytes() == weights
    assert not plan.checkpoint.exists()


def test_the_tuned_backbone_is_one_of_the_zoo(tiny):
    settings, data_set = tiny
    plan = plan_of(tiny, train="last-1")
    tune(plan, Watch())
    info, base = describe_backbone(plan.name, settings), describe_backbone(NETWORK, settings)
    assert tuned_names(settings) == [plan.name] == [tuned_name(NETWORK, "tiny")]
    assert (info.weights_origin, info.family, info.flops) == ("tuned", base.family, base.flops)
    assert info.pretraining_method == "dino on tiny, 2 epochs, last-1 from random weights"
    assert info.weights_hash != base.weights_hash
    assert has_feature_maps(plan.name, 160)
    image = data_set.read_image(0)
    before = open_backbone(NETWORK, settings).extract([image]).values
    after = open_backbone(plan.name, settings).extract([image]).values
    assert before.shape == after.shape
    assert not np.allclose(before, after)


def test_a_second_tuning_of_the_same_name_is_refused_and_the_same_one_is_done(tiny):
    plan = plan_of(tiny, epochs=1)
    first = tune(plan, Watch())
    assert tune(plan, Watch(on_epoch=lambda entry: pytest.fail("trained again"))) == first
    with pytest.raises(CvAutomlError, match=r"another tuning .*epochs 1.*--replace"):
        tune(plan_of(tiny, epochs=2), Watch())
    assert len(tune(plan_of(tiny, epochs=2), Watch(), replace=True).curve) == 2


def test_what_cannot_be_tuned_is_told_in_a_sentence(tiny):
    settings, _ = tiny
    for name in ("handcrafted", f"{NETWORK}+ssl@tiny"):
        with pytest.raises(CvAutomlError, match="cannot be tuned"):
            plan_of(tiny, name)
    for train in ("last-0", "last-999", "some"):
        with pytest.raises(CvAutomlError, match="expected all, lora or last-N"):
            tune(plan_of(tiny, train=train), Watch())
    with pytest.raises(WeightsError, match="holds no"):
        describe_backbone(f"{NETWORK}+ssl@nowhere", settings)
    with pytest.raises(WeightsError, match="no tuned backbone's name"):
        describe_backbone(f"../{NETWORK}+ssl@tiny", settings)


def test_only_the_last_blocks_are_trained(tiny):
    backbone = plan_of(tiny, VIT).backbone
    network = trainable(backbone)
    choose_trained(network, "last-1", WeightsCard(), 4)
    trained = {name for name, p in network.named_parameters() if p.requires_grad}
    last = max(
        int(name.split(".")[1]) for name, _ in network.named_parameters() if name.startswith("blocks.")
    )
    assert trained
    assert all(name.startswith((f"blocks.{last}.", "norm.", "fc_norm.")) for name in trained)


def test_a_transformer_reads_small_views_and_a_fixed_network_keeps_its_size(tiny):
    settings, _ = tiny
    how = ("all", WeightsCard(), settings.ssl, torch.device("cpu"))
    student, teacher, _ = student_and_teacher(plan_of(tiny, VIT).backbone, *how)
    assert local_size_px(student, 48) == 48
    assert not any(p.requires_grad for p in teacher.parameters())

    class Fixed(nn.Module):
        def forward(self, images):
            assert images.shape[-1] == 160
            return images.mean((2, 3))

    student.network = Fixed()
    assert local_size_px(student, 48) == student.spec.height_px == 160


def test_lora_starts_at_the_same_answer_and_is_merged_without_changing_it():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(16, 5)).eval()
    plain = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 6, 3, groups=6))
    images = torch.randn(2, 3, 4, 4)
    keys, before = list(network.state_dict()), network(images)
    added = add_lora(network, 2)
    assert torch.equal(network(images), before)
    assert sum(p.numel() for p in added) == 2 * (16 + 5)
    with torch.no_grad():
        added[1].normal_()
    changed = network(images)
    assert not torch.allclose(changed, before)
    merge_lora(network)
    assert sorted(network.state_dict()) == sorted(keys)
    assert torch.allclose(network(images), changed, atol=1e-6)
    assert sum(p.numel() for p in add_lora(plain, 2)) == 2 * (27 + 6)


def test_the_loss_is_the_cross_entropy_over_pairs_of_different_views():
    torch.manual_seed(1)
    student, teacher = torch.randn(3, 4, 7), torch.softmax(torch.randn(2, 4, 7), -1)
    expected = [
        functional.cross_entropy(student[j] / STUDENT_TEMPERATURE, teacher[i])
        for i in range(2)
        for j in range(3)
        if i != j
    ]
    assert torch.allclose(distillation_loss(list(student), teacher), torch.stack(expected).mean())


def test_collapse_is_seen_whichever_way_it_goes():
    uniform, one = (
        torch.full((20, 8), 1 / 8),
        functional.one_hot(torch.zeros(20, dtype=torch.long), 8).float(),
    )
    told = functional.one_hot(torch.arange(20) % 8, 8).float()
    for probabilities, is_collapsed in ((uniform, True), (one, True), (told, False)):
        warning = collapse_warning(*entropies(probabilities), spread=0.5, spread_before=0.5)
        assert ("alike" in (warning or "")) == is_collapsed
    assert "shrunk to 2%" in (collapse_warning(*entropies(told), spread=0.01, spread_before=0.5) or "")
    assert embedding_spread(torch.ones(5, 3)) == pytest.approx(0, abs=1e-3)
    assert embedding_spread(torch.tensor([[1.0, 0], [-1, 0]])) == pytest.approx(1)


def test_views_have_their_sizes_and_schedules_their_ends():
    images = torch.randint(0, 256, (2, 3, 40, 40), dtype=torch.uint8)
    crops = multi_crops(images, 32, 2, 16)
    assert [tuple(one.shape) for one in crops] == [(2, 3, 32, 32)] * 2 + [(2, 3, 16, 16)] * 2
    assert [between(2, 4, p) for p in (0, 0.5, 1)] == pytest.approx([2, 3, 4])
    logits = Projection(6, 9)(torch.randn(4, 6))
    assert logits.shape == (4, 9)
    assert logits.abs().max() <= 1 + 1e-6
