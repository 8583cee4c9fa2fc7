"""scripts/export.py: the ONNX file answers as torch does, knows its own pre-processing, and runs without torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from lib.inference import onnx_file
from lib.inference.models import KeptModel
from lib.inference.onnx_file import METADATA, OnnxModel
from lib.inference.predicting import predict_folder
from lib.inference.wanted import Wanted
from lib.zoo.backbones import open_backbone
from lib.zoo.heads import HEADS
from tests.running import SCRIPTS, run_script

DEPLOYED = SCRIPTS.parent / "lib" / "inference" / "predict_folder.py"


def exported(model, path):
    any_size = onnx_file.export(model, path)
    return any_size, OnnxModel.opened(path)


@pytest.mark.parametrize(
    ("network", "any_size"), [("test_convnext", True), ("test_vit", False), ("test_efficientnet", True)]
)
def test_networks_of_every_kind_answer_as_torch_does(class_run, tmp_path, network, any_size):
    settings, card = class_run.settings, class_run.load().card
    backbone = open_backbone(network, settings)
    pair = HEADS["linear"]().network(backbone, card.recipe, 3).eval().requires_grad_(False)
    torch.nn.init.normal_(pair.head[0].weight)
    card = card.model_copy(update={"input": backbone.input})
    model = KeptModel(card, pair, torch.device("cpu"))
    found, session = exported(model, tmp_path / "m.onnx")
    assert found == any_size
    size = (192, 256) if any_size else (backbone.input.height_px, backbone.input.width_px)
    for n in (1, 3):
        images = torch.rand(n, 3, *size)
        assert np.abs(session.raw(images.numpy()) - pair(images).numpy()).max() < 1e-4


def test_the_file_knows_its_pre_and_post_processing(mask_run, tmp_path):
    onnx_file.export(mask_run.load(), tmp_path / "m.onnx")
    properties = {one.key: one.value for one in onnx.load(tmp_path / "m.onnx").metadata_props}
    facts = json.loads(properties[METADATA])
    assert (facts["height_px"], facts["width_px"], facts["any_size"]) == (32, 64, False)
    assert facts["classes"] == list(mask_run.record.data_set.classes)
    assert len(facts["thresholds"]) == len(facts["smallest_areas"]) == 2
    assert facts["weights_origin"] == "random"
    assert facts["run"] == mask_run.key


def arguments(kept, path):
    return ("onnx", "--run", kept.key, "--to", path, "--models", kept.settings.models_dir, "--no-latency")


@pytest.fixture
def call(monkeypatch, capsys, class_run):
    monkeypatch.setenv("CVAUTOML_CACHE_DIR", str(class_run.settings.cache_dir))
    return lambda *words: run_script(monkeypatch, capsys, "export", *words)


def test_what_quantisation_costs_is_measured_on_the_test_part(call, class_run, tmp_path):
    words = (*arguments(class_run, tmp_path / "m.onnx"), "--dataset", class_run.data_set, "--int8")
    code, out, _ = call(*words, "--json")
    told = json.loads(out)
    assert (code, told["good"]) == (0, True)
    forms = {form["name"]: form for form in told["forms"]}
    assert forms["torch"]["metrics"] == forms["onnx"]["metrics"]
    assert forms["torch"]["metrics"]["accuracy"] == pytest.approx(class_run.record.folds[0].test["accuracy"])
    assert forms["onnx"]["difference"] < 1e-4
    assert forms["onnx, int8"]["difference"] > forms["onnx"]["difference"]
    assert (tmp_path / "m.int8.onnx").stat().st_size < 0.6 * (tmp_path / "m.onnx").stat().st_size


def test_an_export_that_answers_otherwise_is_not_written(call, class_run, tmp_path, monkeypatch):
    answer = OnnxModel.probabilities
    monkeypatch.setattr(OnnxModel, "probabilities", lambda *a: answer(*a) + 0.002)
    code, _, err = call(*arguments(class_run, tmp_path / "m.onnx"))
    assert code == 1
    assert "not good" in err
    assert list(tmp_path.iterdir()) == []


def test_another_data_set_is_no_test_part(call, class_run, mask_run, tmp_path):
    code, _, err = call(*arguments(class_run, tmp_path / "m.onnx"), "--dataset", mask_run.data_set)
    assert code == 2
    assert "the model was trained on tiny" in err


WITHOUT_TORCH = (
    "import runpy, sys\nsys.modules.update(dict.fromkeys(('torch', 'lib', 'timm')))\n"
    "sys.argv = sys.argv[1:]\nrunpy.run_path(sys.argv[0], run_name='__main__')"
)


def deployed(model, folder, out):
    command = [sys.executable, "-c", WITHOUT_TORCH, DEPLOYED, model, folder, out]
    return subprocess.run(
        list(map(str, command)), capture_output=True, text=True, env={**os.environ, "THREADS": "1"}
    )


@pytest.fixture
def both(tmp_path):
    """Runs predict and, without torch, the deployed program on a kept run's images: the folders of both."""

    def run(kept, model):
        folder, path = kept.data_set / "images", tmp_path / "m.onnx"
        onnx_file.export(model, path)
        predict_folder(model, folder, Wanted(out=tmp_path / "ours"), tmp_path / "cache")
        done = deployed(path, folder, tmp_path / "theirs")
        assert done.returncode == 0, done.stderr
        return tmp_path / "ours", tmp_path / "theirs"

    return run


def test_the_deployed_program_gives_without_torch_the_classes_of_predict(class_run, both):
    ours, theirs = (
        (out / "predictions.csv").read_text().splitlines() for out in both(class_run, class_run.load())
    )
    assert len(ours) == len(theirs) == 37
    for one, other in zip(ours[1:], theirs[1:], strict=True):
        assert one.split(",")[:2] == other.split(",")[:2]
        assert np.allclose(*(np.array(line.split(",")[2:], float) for line in (one, other)), atol=1e-4)


@pytest.mark.parametrize("run", ["mask_run", "window_run"])
def test_the_deployed_program_gives_without_torch_the_masks_of_predict(request, both, run):
    kept = request.getfixturevalue(run)
    ours, theirs = both(kept, kept.drawing())
    masks = {path.name: np.asarray(Image.open(path)) for path in (ours / "masks").iterdir()}
    same = [mask == np.asarray(Image.open(theirs / "masks" / f"{name}.png")) for name, mask in masks.items()]
    assert len(masks) == 20
    assert any(mask.any() for mask in masks.values())
    assert np.mean(same) > 0.999


def test_the_deployed_program_skips_what_it_cannot_read_and_writes_nothing_beside_the_images(
    class_run, tmp_path
):
    onnx_file.export(class_run.load(), tmp_path / "m.onnx")
    (tmp_path / "in").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "in" / "good.png")
    (tmp_path / "in" / "bad.png").write_bytes(b"no image")
    done = deployed(tmp_path / "m.onnx", tmp_path / "in", tmp_path / "out")
    assert (done.returncode, "skipped: bad.png" in done.stderr) == (1, True)
    done = deployed(tmp_path / "m.onnx", tmp_path / "in", tmp_path / "in" / "out")
    assert (done.returncode, "only read" in done.stderr) == (2, True)
