from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch

from lib.errors import CvAutomlError, IncompatiblePairError
from lib.zoo import network as network_module
from lib.zoo.backbones import backbone_names, describe_backbone, open_backbone
from lib.zoo.catalogue import entry_of
from lib.zoo.checks import backbone_checks, failures
from lib.zoo.inference_form import inference_form
from lib.zoo.preprocessing import normalised_tensor, resized

SMALL = "test_resnet"
REAL = [
    "mobilenetv1_100",
    "mobilenetv2_100",
    "mobileone_s0",
    "tf_efficientnet_lite0",
    "vit_tiny_patch16_224",
    "deit_tiny_patch16_224",
    "resnet18_c4",
    "legacy_xception_c4",
]

# Parameters without classifier, from timm's own published results (param_count less the classifier) and papers; channels with
# a batch norm, which has one parameter more a channel than the bias it becomes for inference; width.
KNOWN = {
    "resnet18": (11_176_512, 4_800, 512),
    "resnet50": (23_508_032, 26_560, 2048),
    "vit_tiny_patch16_224": (5_524_416, 0, 192),
    "deit_tiny_patch16_224": (5_524_416, 0, 192),
    "mobilenetv2_100": (2_223_872, 17_056, 1280),
    "convnext_tiny": (27_820_128, 0, 768),
}


def images(n=3, seed=0):
    return [i for i in np.random.default_rng(seed).integers(0, 256, (n, 40, 90, 3), dtype=np.uint8)]


def test_curated_list_holds_every_promised_backbone():
    promised = {
        "vit_small_patch14_dinov2", "resnet18", "resnet50", "resnet101", "xception41", "mobilenetv3_large_100",
        "tf_efficientnet_lite0", "mobilenetv2_100", "vit_tiny_patch16_224", "deit_tiny_patch16_224", "convnext_tiny", "handcrafted",
    }  # fmt: skip
    assert promised <= set(backbone_names())
    assert len(set(backbone_names())) == len(backbone_names())


@pytest.mark.parametrize("name", backbone_names())
def test_every_backbone_tells_its_facts_without_loading_weights(name, unpretrained, monkeypatch):
    monkeypatch.setattr(network_module, "create_network", lambda *a, **k: pytest.fail("weights were loaded"))
    info = describe_backbone(name, unpretrained)
    assert info.name == name and info.embedding_width > 0 and info.family
    if name != "handcrafted":
        assert info.parameters > 1e6 and info.flops > 1e8 and info.weights_origin == "random"
        assert entry_of(name).pretraining_data != "unknown"


@pytest.mark.parametrize(("name", "expected"), KNOWN.items())
def test_parameters_and_width_are_those_published(name, expected, unpretrained):
    info = describe_backbone(name, unpretrained)
    parameters, normed_channels, width = expected
    assert (info.parameters, info.embedding_width) == (parameters - normed_channels, width)


def test_mobileone_is_counted_in_its_inference_form(unpretrained):
    # Table 1 of arXiv:2206.04040 has 2.1 M with a classifier of 1.025 M, and 275 M multiply-accumulates.
    info = describe_backbone("mobileone_s0", unpretrained)
    assert info.parameters == pytest.approx(2.1e6 - 1.025e6, rel=0.03)
    assert info.flops == pytest.approx(275e6, rel=0.01)


def test_flops_are_multiply_accumulates(unpretrained):
    # 1.814 GMACs at 224 px: the published count of ResNet-18, without its classifier of 0.0005 GMACs.
    assert describe_backbone("resnet18", unpretrained).flops == pytest.approx(1.8136e9, rel=1e-3)


@pytest.mark.parametrize(
    "name", ["resnet81", "mobilnetv2_100", "resnet18.a1", "hf-hub:timm/resnet18", "../resnet18", ""]
)
def test_unknown_name_is_refused_with_what_exists(name, unpretrained):
    with pytest.raises(CvAutomlError, match="unknown"):
        open_backbone(name, unpretrained)


@pytest.mark.parametrize("name", [SMALL, "test_vit", "mobileone_s0", "tf_efficientnet_lite0", "handcrafted"])
def test_backbones_of_each_kind_keep_the_contract(name, unpretrained):
    assert failures(backbone_checks(open_backbone(name, unpretrained))) == []


@pytest.mark.parametrize("name", [SMALL, "handcrafted"])
def test_run_key_sees_another_input(name, unpretrained):
    backbone = open_backbone(name, unpretrained)
    assert (
        backbone.info.input_hash == backbone.input.digest() != replace(backbone.input, height_px=7).digest()
    )


def test_tagged_name_has_facts_of_its_tag(unpretrained):
    info = describe_backbone("vit_tiny_patch16_224.augreg_in21k", unpretrained)
    assert info.family == "vit"
    entry = entry_of("vit_small_patch16_224.dino")
    assert entry.pretraining_method == "self-supervised (DINO)"
    assert entry_of("resnet50.fb_ssl_yfcc100m_ft_in1k").pretraining_data == "YFCC-100M, ImageNet-1k"
    assert entry_of("vit_small_patch14_dinov2.lvd142m").input_size_px == 224


def test_features_are_timms_own(unpretrained):
    backbone = open_backbone(SMALL, unpretrained)
    batch = images()
    values = backbone.extract(batch).values
    assert values.shape == (3, backbone.info.embedding_width) and values.dtype == np.float32
    with torch.no_grad():
        expected = backbone.feature_module()(tensor_of(batch, backbone))
    np.testing.assert_allclose(values, expected.numpy(), rtol=1e-4, atol=1e-5)


def tensor_of(batch, backbone):
    small = np.stack([resized(image, backbone.input) for image in batch])
    return normalised_tensor(torch.from_numpy(small), backbone.input)


def give_it_a_life(network):
    """Makes batch norms do something, as training would: fresh ones change next to nothing."""
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                for values in (layer.weight, layer.bias, layer.running_mean, layer.running_var):
                    values.uniform_(0.5, 1.5)


@pytest.mark.parametrize(
    "name", ["mobileone_s0", "repvgg_a0", "mobilenetv3_small_050", "resnet10t", "test_vit"]
)
def test_inference_form_computes_the_same_with_no_batch_norm_left(name):
    torch.manual_seed(0)
    network = timm.create_model(name, num_classes=0).eval()
    give_it_a_life(network)
    size = network.pretrained_cfg["input_size"][-1]
    image = torch.randn(2, 3, size, size)
    with torch.no_grad():
        expected = network(image)
        form = inference_form(network, image[:1])
        given = form(image)
    assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in form.modules())
    assert torch.nn.functional.cosine_similarity(given, expected).min() > 0.9999
    torch.testing.assert_close(given, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


class ReadTwice(torch.nn.Module):
    """The convolution's result goes past the batch norm as well: folding would change it."""

    def __init__(self):
        super().__init__()
        self.convolution, self.norm = torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)

    def forward(self, images):
        maps = self.convolution(images)
        return self.norm(maps) + maps


def test_batch_norm_stays_where_folding_would_change_the_function():
    torch.manual_seed(0)
    network, image = ReadTwice().eval(), torch.randn(2, 3, 8, 8)
    give_it_a_life(network)
    expected = network(image)
    form = inference_form(network, image)
    torch.testing.assert_close(form(image), expected, rtol=0, atol=0)
    assert isinstance(form.norm, torch.nn.BatchNorm2d)


def test_preprocessing_is_timms_own_but_for_the_crop(unpretrained):
    backbone = open_backbone(SMALL, unpretrained)
    spec, image = backbone.input, images(1)[0]
    transform = timm.data.create_transform(
        (3, spec.height_px, spec.width_px), mean=spec.mean, std=spec.std, interpolation=spec.interpolation,
        crop_pct=1.0, crop_mode="squash",
    )  # fmt: skip
    from PIL import Image

    given = tensor_of([image], backbone)[0]
    torch.testing.assert_close(given, transform(Image.fromarray(image)), rtol=0, atol=1e-5)


def test_long_strip_is_seen_from_end_to_end(unpretrained):
    spec = open_backbone(SMALL, unpretrained).input
    strip = np.zeros((256, 1600, 3), np.uint8)
    strip[:, -100:] = 255
    assert resized(strip, spec)[:, -3:].min() > 200


def test_order_and_progress_survive_reading_in_threads(unpretrained):
    backbone = open_backbone(SMALL, unpretrained)
    backbone.batch_size = 4
    batch, done = images(11), []
    values = backbone.extract([lambda i=i: batch[i] for i in range(11)], done.append).values
    assert done == [4, 8, 11]
    np.testing.assert_allclose(values, backbone.extract(batch).values, rtol=1e-4, atol=1e-5)


def test_unreadable_image_stops_with_its_own_error(unpretrained):
    def broken():
        raise CvAutomlError("images/a.jpg is broken")

    with pytest.raises(CvAutomlError, match=r"a\.jpg is broken"):
        open_backbone(SMALL, unpretrained).extract([images(1)[0], broken])


def test_batch_is_halved_when_memory_runs_out(unpretrained, monkeypatch):
    backbone = open_backbone(SMALL, unpretrained)
    backbone.batch_size = 8
    expected = backbone.extract(images(9)).values
    forward = backbone.forward_batch

    def starving(batch):
        if len(batch) > 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return forward(batch)

    monkeypatch.setattr(backbone, "forward_batch", starving)
    extraction = backbone.extract(images(9))
    np.testing.assert_allclose(extraction.values, expected, rtol=1e-4, atol=1e-5)
    assert [note.split(":")[0] for note in extraction.notes] == [
        "batch of the backbone halved to 4",
        "batch of the backbone halved to 2",
    ]


def test_other_errors_of_the_network_are_not_hidden(unpretrained, monkeypatch):
    backbone = open_backbone(SMALL, unpretrained)
    monkeypatch.setattr(
        backbone, "forward_batch", lambda batch: (_ for _ in ()).throw(RuntimeError("shapes"))
    )
    with pytest.raises(RuntimeError, match="shapes"):
        backbone.extract(images(1))


def test_bf16_features_point_the_same_way_and_have_their_own_cache_key(unpretrained):
    full = open_backbone(SMALL, unpretrained)
    half = open_backbone(SMALL, unpretrained.override(precision="bf16"))
    a, b = full.extract(images()).values, half.extract(images()).values
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert cosine.min() > 0.99
    assert full.cache_key != half.cache_key
    assert next(half.feature_module().parameters()).dtype == torch.float32


def test_network_to_train_is_a_copy_of_the_shared_one(unpretrained):
    backbone = open_backbone(SMALL, unpretrained)
    copy = backbone.feature_module()
    assert all(p.requires_grad for p in copy.parameters())
    assert any(isinstance(layer, torch.nn.BatchNorm2d) for layer in copy.modules()), "not its inference form"
    before = backbone.extract(images()).values
    with torch.no_grad():
        for parameter in copy.parameters():
            parameter.add_(1)
    np.testing.assert_array_equal(backbone.extract(images()).values, before)


def test_handcrafted_has_nothing_to_fine_tune(unpretrained):
    with pytest.raises(IncompatiblePairError, match="no network"):
        open_backbone("handcrafted", unpretrained).feature_module()


@pytest.mark.parametrize("name", REAL)
def test_real_weights_load_whole_and_tell_images_apart(name, weights_dir: Path, unpretrained):
    backbone = open_backbone(name, unpretrained.override(weights="pretrained", weights_dir=weights_dir))
    assert backbone.info.weights_origin == "weights_dir"
    with torch.no_grad():
        whole = backbone.feature_module()(tensor_of(images(), backbone)).numpy()
    cosine = (whole * backbone.extract(images()).values).sum(1) / np.linalg.norm(whole, axis=1) ** 2
    np.testing.assert_allclose(cosine, 1, atol=1e-3)
    ramp = np.tile(np.linspace(0, 255, 64, dtype=np.uint8)[None, :, None], (64, 1, 3))
    values = backbone.extract([ramp, ramp.transpose(1, 0, 2), 255 - ramp]).values
    assert np.isfinite(values).all()
    assert np.linalg.norm(values[0] - values[1]) > 1e-2 * np.linalg.norm(values[0])
