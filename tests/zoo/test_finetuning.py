"""Fine-tuning trains a copy of the backbone together with the head, and leaves the shared backbone alone."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

from lib.datasets import load_data_set
from lib.errors import CvAutomlError
from lib.zoo import finetuning
from lib.zoo.base import Backbone, InputSpec
from lib.zoo.course import optimizer_of, sampled
from lib.zoo.finetuning import TunedPair, batch_of, finetuned
from lib.zoo.heads import HEADS, TrainingJob
from lib.zoo.logistic import fitted_logistic
from lib.zoo.preprocessing import Kept, SizedImages
from lib.zoo.recipes import recipe_for
from lib.zoo.training import Answers
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
    right = result.answers.argmax(axis=1) == job.data_set.labels[job.data_set.indices("test")]
    assert right.mean() == result.final.metrics["accuracy"]


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
    assert sorted({group["lr"] for group in groups}, reverse=True) == rates
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


def test_layers_below_learn_more_slowly_and_all_of_them_learn(settings):
    recipe = recipe_for("linear", "classification", settings, precision="fp32", finetune=True)
    network = timm.create_model("vit_tiny_patch16_224", num_classes=0, depth=3)
    groups = optimizer_of(recipe, nn.Linear(8, 3), network).param_groups[1:]
    rate = {id(p): group["lr"] for group in groups for p in group["params"]}
    rates = [
        rate[id(parameter)]
        for parameter in (
            network.patch_embed.proj.weight,
            network.blocks[1].attn.qkv.weight,
            network.norm.weight,
        )
    ]
    assert rates == sorted(rates) and rates[0] < rates[2] == settings.finetune.learning_rate
    assert set(rate) == {id(p) for p in network.parameters()}


def tuned(job, settings, **values):
    settings = settings.override(finetune={**settings.finetune.model_dump(), **values})
    epochs = values.pop("epochs", 3)
    recipe = recipe_for("linear", "classification", settings, precision="fp32", epochs=epochs, finetune=True)
    return finetuned(replace(job, recipe=recipe), fitted_logistic)


@pytest.mark.parametrize(
    "values",
    [
        {"loss": "focal"},
        {"loss": "cross_entropy, focal@2"},
        {"augmentation": "mixup"},
        {"sampling": "balanced"},
        {"schedule": "step", "warmup_epochs": 1},
        {"optimizer": "sgd"},
        {"tta": "crops"},
    ],
    ids=str,
)
def test_every_option_changes_what_is_learned_or_answered(job, settings, values):
    assert tuned(job, settings, **values).final != tuned(job, settings).final


def test_training_stops_early_and_keeps_the_best_epoch(job, settings, monkeypatch):
    qualities = iter([0.3, 0.9, 0.1, 0.2, 0.5, 0.95])
    monkeypatch.setattr(
        finetuning,
        "Answers",
        lambda metrics, final, test: Answers(
            {"validation": {"accuracy": next(qualities)}, "test": {}}, final
        ),
    )
    recipe = job.recipe.model_copy(
        update={"epochs": 6, "options": {**job.recipe.options, "keep": "accuracy", "patience": 2}}
    )
    result = finetuned(replace(job, recipe=recipe), fitted_logistic)
    assert [entry.validation["accuracy"] for entry in result.epochs] == [0.3, 0.9, 0.9, 0.9]
    assert [note.split(":")[0].split(",")[0] for note in result.notes] == [
        "stopped after epoch 4",
        "kept the network of epoch 2",
    ]


def test_a_warm_up_comes_before_the_schedule(job, settings):
    rates = [
        entry.learning_rate for entry in tuned(job, settings, warmup_epochs=2, schedule="constant").epochs
    ]
    assert rates[0] < rates[1] < rates[2] == pytest.approx(job.recipe.learning_rate)


def test_divergence_says_when(job, monkeypatch):
    monkeypatch.setattr(
        TunedPair,
        "loss",
        lambda pair, epoch, rows: pair.head[0].weight.sum() * (float("nan") if epoch == 2 else 1),
    )
    with pytest.raises(CvAutomlError, match="epoch 2, step 1"):
        finetuned(job, fitted_logistic)


def test_balanced_weights_and_balanced_drawing_are_those_of_scikit_learn(job, settings):
    rows = job.data_set.indices("train")[:-3]  # the classes are no longer alike
    options = {**job.recipe.options, "class_weights": "balanced"}
    pair = TunedPair(replace(job, recipe=job.recipe.model_copy(update={"options": options})), fitted_logistic)
    labels = pair.labels[pair.train_rows]
    assert pair.class_weights.numpy() == pytest.approx(
        compute_class_weight("balanced", classes=np.unique(labels), y=labels)
    )
    labels = np.array([0] * 90 + [1] * 10)
    drawn = sampled(np.arange(100), np.random.default_rng(0), "balanced", labels)
    assert len(drawn) == 100 and 35 <= labels[drawn].sum() <= 65
    assert sorted(sampled(rows, np.random.default_rng(0), "natural", rows)) == sorted(rows)
