"""Fine-tuning trains a copy of the backbone together with the head, and leaves the shared backbone alone."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from lib.datasets import load_data_set
from lib.zoo import finetuning
from lib.zoo.base import Backbone, InputSpec
from lib.zoo.finetuning import TunedPair, augmentation, batch_of, finetuned
from lib.zoo.heads import HEADS, TrainingJob
from lib.zoo.logistic import fitted_logistic
from lib.zoo.preprocessing import Kept, SizedImages
from lib.zoo.recipes import recipe_for
from lib.zoo.training import optimizer_of
from tests.benchmark.made_up_sweep import write_tiny_set
from tests.zoo.made_up import made_up_backbone_info

SPEC = InputSpec(16, 16, (0.5,) * 3, (0.5,) * 3, "bilinear", 1.0)


class TinyBackbone(Backbone):
    """One convolution and a batch norm, 8 features."""

    def __init__(self):
        self.info = made_up_backbone_info(width=8)
        self.input = SPEC
        self.cache_key = "tiny"
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self._network = nn.Sequential(
                nn.Conv2d(3, 8, 3, stride=2),
                nn.BatchNorm2d(8),
                nn.ReLU(),
                nn.AdaptiveAvgPool2d(1),
                nn.Flatten(),
            ).eval()

    def extract(self, images, on_progress=None):
        raise AssertionError("fine-tuning computes its own features")

    def feature_module(self, **kwargs):
        return copy.deepcopy(self._network)


@pytest.fixture
def job(tmp_path, settings):
    data_set = load_data_set(write_tiny_set(tmp_path / "tiny", images=10), settings).fold("folds", 0)
    recipe = recipe_for("linear", "classification", settings, precision="fp32", epochs=2, finetune=True)
    return TrainingJob(data_set, TinyBackbone(), recipe, seed=0, device=torch.device("cpu"))


@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_finetuning_measures_every_epoch(job, head, settings):
    recipe = recipe_for(head, "classification", settings, precision="fp32", epochs=2, finetune=True)
    result = HEADS[head]().train(replace(job, recipe=recipe))
    assert [entry.epoch for entry in result.epochs] == [1, 2]
    assert result.epochs[-1].test.items() <= result.final.metrics.items()
    assert result.validation == result.epochs[-1].validation
    assert (set(result.chosen), result.batch_size) == (set(recipe.grid), recipe.batch_size)
    assert result.parameters == HEADS[head]().parameters(8, 3)
    assert result.predict(np.zeros((5, 8), dtype=np.float32)).shape == (5, 3)


def test_the_same_seed_gives_the_same_numbers(job):
    assert finetuned(job, fitted_logistic).epochs == finetuned(job, fitted_logistic).epochs
    assert finetuned(replace(job, seed=1), fitted_logistic).epochs != finetuned(job, fitted_logistic).epochs


def test_the_backbone_is_trained_and_the_shared_one_is_not(job, monkeypatch):
    before = copy.deepcopy(job.backbone._network.state_dict())
    tuned = []
    monkeypatch.setattr(finetuning, "TunedPair", lambda *given: tuned.append(TunedPair(*given)) or tuned[-1])
    finetuned(job, fitted_logistic)
    shared = job.backbone._network.state_dict()
    assert all(torch.equal(before[name], shared[name]) for name in before)
    assert not torch.equal(before["0.weight"], tuned[0].backbone.state_dict()["0.weight"])
    assert torch.equal(before["1.running_mean"], tuned[0].backbone.state_dict()["1.running_mean"])


def test_the_head_has_its_own_learning_rate_and_the_backbone_the_small_one(job, settings):
    groups = optimizer_of(job.recipe, nn.Linear(8, 3), job.backbone.feature_module()).param_groups
    rates = [settings.classification.learning_rate, settings.finetune.learning_rate]
    assert [group["lr"] for group in groups] == rates
    assert [group["lr"] for group in optimizer_of(job.recipe, nn.Linear(8, 3)).param_groups] == rates[:1]


def test_it_starts_from_the_head_trained_on_frozen_features(job):
    pair = TunedPair(job, fitted_logistic)
    test = job.data_set.indices("test")
    with torch.inference_mode():
        logits = pair.logits(batch_of(SizedImages(job.data_set, SPEC), test))
    frozen = job.recipe.model_copy(update={"finetune": False})
    features = finetuning._features(job.backbone.feature_module(), job, SizedImages(job.data_set, SPEC))
    reference = HEADS["linear"]().train(replace(job, recipe=frozen, features=features))
    assert logits.softmax(1).numpy() == pytest.approx(reference.predict(features[test]), abs=1e-5)


def test_images_beyond_the_memory_budget_are_read_anew():
    reads = []
    images = Kept(lambda missing: [reads.append(i) or np.full(4, i, np.uint8) for i in missing], 8)
    for _ in range(2):
        np.testing.assert_array_equal(np.stack(images.of(np.arange(5)))[:, 0], np.arange(5))
    assert reads == [0, 1, 2, 3, 4, 2, 3, 4] and len(images.kept) == 2


def test_augmented_images_keep_size_and_type():
    image = torch.randint(0, 256, (3, 20, 24), dtype=torch.uint8)
    augmented = augmentation(16, 16)(image)
    assert augmented.shape == (3, 16, 16)
    assert augmented.dtype == torch.uint8
