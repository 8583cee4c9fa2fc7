import hashlib

import huggingface_hub
import numpy as np
import pytest
import timm
import torch
import yaml
from safetensors.torch import save_file

from lib.errors import CvAutomlError, WeightsError
from lib.zoo import weights as weights_module
from lib.zoo.backbones import describe_backbone, open_backbone
from lib.zoo.loading import create_network, read_state
from lib.zoo.network import network_info
from lib.zoo.preprocessing import normalised_tensor, resized
from lib.zoo.weights import find_weights, random_weights

NAME = "test_resnet"  # timm's own miniature network


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def state():
    torch.manual_seed(5)
    return {key: value.clone() for key, value in timm.create_model(NAME, num_classes=7).state_dict().items()}


def put(folder, state, card=None, name=NAME):
    folder.mkdir(exist_ok=True)
    save_file(state, folder / f"{name}.safetensors")
    if card is not None:
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(card))
    return folder


@pytest.fixture
def from_folder(unpretrained, tmp_path):
    return unpretrained.override(weights="pretrained", weights_dir=tmp_path / "weights")


def test_weights_dir_comes_first_and_is_loaded_exactly(from_folder, tmp_path, state):
    folder = put(
        tmp_path / "weights", {key: v.half() if v.is_floating_point() else v for key, v in state.items()}
    )
    found = find_weights(NAME, from_folder)
    content = (folder / f"{NAME}.safetensors").read_bytes()
    assert (found.origin, found.hash) == ("weights_dir", hashlib.sha256(content).hexdigest()[:16])
    loaded = create_network(NAME, found).state_dict()
    assert loaded
    for key, value in loaded.items():
        assert value.dtype == state[key].dtype, "fp16 files become float32"
        torch.testing.assert_close(value, state[key], rtol=1e-3, atol=1e-3)


def test_card_decides_normalisation_size_and_padding(from_folder, tmp_path, state):
    card = {
        "mean": [0.5, 0.5, 0.5],
        "std": [0.25, 0.25, 0.25],
        "input_size_px": 64,
        "interpolation": "bilinear",
        "classifier": True,
        "model_kwargs": {"act_layer": "gelu"},
        "pretraining": "steel",
    }
    put(tmp_path / "weights", state, card)
    backbone = open_backbone(NAME, from_folder)
    assert backbone.input.mean == (0.5, 0.5, 0.5) and backbone.input.height_px == 64
    assert backbone.info.pretraining_data == "steel"
    assert any(
        isinstance(layer, torch.nn.GELU) or "GELU" in type(layer).__name__
        for layer in backbone.feature_module().modules()
    )
    white = normalised_tensor(torch.full((64, 64, 3), 255, dtype=torch.uint8), backbone.input)
    torch.testing.assert_close(white, torch.full((3, 64, 64), 2.0))


CUT = {"architecture": NAME, "feature_map": 2, "input_size_px": 64, "pretraining": "steel"}


def test_cut_network_is_its_feature_map_averaged(from_folder, tmp_path, state):
    cut_state = {key: value for key, value in state.items() if not key.startswith(("layer3", "layer4", "fc"))}
    put(tmp_path / "weights", cut_state, CUT, "steel_c3")
    backbone = open_backbone("steel_c3", from_folder)
    image = torch.randint(0, 256, (40, 90, 3), dtype=torch.uint8).numpy()
    values = backbone.extract([image]).values
    whole = timm.create_model(NAME, num_classes=7).eval()
    whole.load_state_dict(state)
    with torch.no_grad():
        small = normalised_tensor(
            torch.from_numpy(np.stack([resized(image, backbone.input)])), backbone.input
        )
        expected = whole.forward_intermediates(small, indices=[2], intermediates_only=True)[0].mean((2, 3))
    torch.testing.assert_close(torch.from_numpy(values), expected, rtol=1e-4, atol=1e-5)
    whole_info = describe_backbone(NAME, from_folder.override(weights="random"))
    assert backbone.info.name == "steel_c3" and backbone.info.parameters < whole_info.parameters / 2
    assert backbone.info.pretraining_data == "steel"
    assert sum(p.numel() for p in backbone.feature_module().parameters()) >= backbone.info.parameters
    cut_state.pop("conv1.0.weight")
    put(tmp_path / "weights", cut_state, CUT, "steel_c3")
    with pytest.raises(WeightsError, match=r"steel_c3\.safetensors does not fit.*conv1"):
        open_backbone("steel_c3", from_folder).feature_module()


def test_cut_network_that_the_folder_lacks_is_no_other_network(from_folder, tmp_path, state):
    folder = put(tmp_path / "weights", state)
    with pytest.raises(
        CvAutomlError, match=r"unknown backbone 'resnet18_c4'.*resnet18_c4\.yaml in weights_dir"
    ):
        open_backbone("resnet18_c4", from_folder)
    (folder / "resnet18_c4.yaml").write_text(yaml.safe_dump(CUT))
    with pytest.raises(WeightsError, match=r"no resnet18_c4\.safetensors"):
        open_backbone("resnet18_c4", from_folder)
    assert (
        open_backbone("resnet18_c4", from_folder.override(weights="random")).info.weights_origin == "random"
    )
    (folder / "resnet18_c4.yaml").write_text(f"architecture: {NAME}")
    with pytest.raises(WeightsError, match="feature_map go together"):
        open_backbone("resnet18_c4", from_folder)


def test_another_card_is_another_hash(from_folder, tmp_path, state):
    put(tmp_path / "weights", state, {"mean": [0.5, 0.5, 0.5]})
    first = find_weights(NAME, from_folder).hash
    put(tmp_path / "weights", state, {"mean": [0.4, 0.5, 0.5]})
    second = find_weights(NAME, from_folder).hash
    put(tmp_path / "weights", state, {"mean": [0.4, 0.5, 0.5], "source": "elsewhere"})
    assert first != second and find_weights(NAME, from_folder).hash == second


@pytest.mark.parametrize(
    ("card", "word"),
    [
        ("means: [1, 2, 3]", "means"),
        ("mean: [0.5, 0.5]", "mean"),
        ("crop_pct: 3", "crop_pct"),
        ("a: [", "YAML"),
        ("- 1", "list"),
    ],
)
def test_wrong_card_is_named_with_its_field(from_folder, tmp_path, state, card, word):
    put(tmp_path / "weights", state)
    (tmp_path / "weights" / f"{NAME}.yaml").write_text(card)
    with pytest.raises(WeightsError, match=rf"{NAME}\.yaml.*{word}"):
        find_weights(NAME, from_folder)


def test_missing_key_is_never_loaded_in_part(from_folder, tmp_path, state):
    state.pop("layer1.0.conv1.weight")
    put(tmp_path / "weights", state)
    with pytest.raises(
        WeightsError, match=r"safetensors does not fit 'test_resnet': Missing key.*layer1\.0\.conv1\.weight"
    ):
        create_network(NAME, find_weights(NAME, from_folder))


def test_foreign_key_and_wrong_shape_are_named(from_folder, tmp_path, state):
    put(tmp_path / "weights", state | {"foreign.weight": torch.zeros(1)})
    with pytest.raises(WeightsError, match=r"Unexpected key.*foreign\.weight"):
        create_network(NAME, find_weights(NAME, from_folder))
    put(tmp_path / "weights", state | {"layer1.0.bn1.weight": torch.zeros(3)})
    with pytest.raises(WeightsError, match=r"size mismatch for layer1\.0\.bn1\.weight"):
        create_network(NAME, find_weights(NAME, from_folder))


def test_weights_of_another_network_are_refused_in_a_short_sentence(from_folder, tmp_path):
    put(tmp_path / "weights", dict(timm.create_model("test_vit").state_dict()))
    with pytest.raises(WeightsError) as caught:
        create_network(NAME, find_weights(NAME, from_folder))
    assert "more" in str(caught.value) and len(str(caught.value)) < 1500


@pytest.mark.parametrize("content", [b"", b"not a tensor file", None])
def test_cut_off_file_is_told_so(from_folder, tmp_path, state, content):
    path = put(tmp_path / "weights", state) / f"{NAME}.safetensors"
    path.write_bytes(path.read_bytes()[:-1000] if content is None else content)
    with pytest.raises(WeightsError, match=rf"{NAME}\.safetensors is no whole safetensors file"):
        read_state(path)


def test_weights_dir_that_is_no_folder_is_named(unpretrained, tmp_path):
    with pytest.raises(WeightsError, match=r"weights_dir .* is no folder"):
        find_weights(NAME, unpretrained.override(weights="pretrained", weights_dir=tmp_path / "absent"))


def test_offline_without_weights_names_three_ways_out(unpretrained, offline, tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *a, **k: None)
    with pytest.raises(WeightsError) as caught:
        find_weights(NAME, unpretrained.override(weights="pretrained"))
    for way in ("weights_dir", "huggingface.co", "--weights random", "HF_HUB_OFFLINE"):
        assert way in str(caught.value)


def test_unreachable_hub_is_given_up_on_within_seconds(unpretrained, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *a, **k: None)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *a, **k: pytest.fail("asked all the same"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with pytest.raises(WeightsError, match=r"http://127\.0\.0\.1:9 does not answer"):
        find_weights(NAME, unpretrained.override(weights="pretrained"))


def test_cache_is_used_before_the_hub_and_without_network(
    unpretrained, offline, tmp_path, state, monkeypatch
):
    path = put(tmp_path / "hub", state, name="model") / "model.safetensors"
    asked = []
    monkeypatch.setattr(
        huggingface_hub,
        "try_to_load_from_cache",
        lambda repository, file: asked.append((repository, file)) or str(path),
    )
    info = open_backbone(NAME, unpretrained.override(weights="pretrained")).info
    assert info.weights_origin == "cache"
    assert asked[0] == ("timm/test_resnet.r160_in1k", "model.safetensors")


def test_hub_download_says_hub_and_planning_asks_for_the_same_hash_only(
    unpretrained, tmp_path, state, monkeypatch
):
    path = put(tmp_path / "hub", state, name="model") / "model.safetensors"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    downloads = []
    monkeypatch.setattr(weights_module, "hub_obstacle", lambda: None)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *a: None)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *a: downloads.append(a) or str(path))
    monkeypatch.setattr(
        huggingface_hub, "get_hf_file_metadata", lambda url, timeout: type("Metadata", (), {"etag": digest})
    )
    pretrained = unpretrained.override(weights="pretrained")
    planned = describe_backbone(NAME, pretrained)
    assert not downloads
    backbone = open_backbone(NAME, pretrained)
    assert downloads and backbone.info.weights_origin == "hub"
    assert planned.weights_hash == backbone.info.weights_hash == digest[:16]


def test_failing_hub_is_a_weights_error(unpretrained, monkeypatch):
    monkeypatch.setattr(weights_module, "hub_obstacle", lambda: None)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *a: None)

    def fail(*arguments):
        raise huggingface_hub.errors.LocalEntryNotFoundError("connection lost\nsecond line")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    with pytest.raises(WeightsError, match=r"the hub answered: connection lost\. Three ways out"):
        find_weights(NAME, unpretrained.override(weights="pretrained"))


def test_random_weights_are_the_same_each_time_and_never_called_pretrained(unpretrained):
    first, second = (create_network(NAME, random_weights(NAME)) for _ in range(2))
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        torch.testing.assert_close(a, b)
    info = network_info(NAME, find_weights(NAME, unpretrained))
    assert (info.weights_origin, info.pretraining_data, info.pretraining_method) == (
        "random",
        "none",
        "random weights",
    )
    assert info.weights_hash.startswith("random-")


def test_random_weights_leave_the_global_generator_alone():
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    create_network(NAME, random_weights(NAME))
    assert torch.rand(1) == expected
