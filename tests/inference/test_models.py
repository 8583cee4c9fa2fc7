"""Kept models: found by key, rebuilt without any weights file, answering as the run did; whatever is broken is one sentence."""

from __future__ import annotations

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from lib.datasets import load_data_set
from lib.errors import CvAutomlError
from lib.inference.models import CARD_FILE, STATE_FILE, kept_models, load_model
from lib.inference.onnx_check import Examples, examined
from tests.benchmark.made_up_sweep import ready, swept
from tests.inference.conftest import NETWORK, keeping, run_kept


def metrics_of(kept):
    """Of the loaded model on the test part of its fold."""
    model = kept.load()
    examples = Examples(model, load_data_set(kept.data_set, kept.settings))
    return examined(model, "torch", None, examples, with_latency=False).metrics


@pytest.mark.parametrize(("head", "finetune"), [("linear", False), ("student", False), ("mlp", True)])
def test_a_loaded_model_reaches_on_its_test_part_what_the_record_says(class_run, head, finetune):
    kept = run_kept(class_run.settings, class_run.data_set, head, finetune=finetune)
    measured = metrics_of(kept)
    recorded = kept.record.folds[0].test
    assert measured == pytest.approx({name: recorded[name] for name in measured}, abs=1e-4)


@pytest.mark.parametrize("run", ["mask_run", "window_run", "cascade_run"])
def test_a_mask_model_reaches_on_its_test_part_what_the_record_says(request, run):
    kept = request.getfixturevalue(run)
    measured, recorded = metrics_of(kept), kept.record.folds[0].test
    assert measured == pytest.approx({name: recorded[name] for name in measured}, abs=1e-4)


def test_test_time_views_are_inside_the_network(class_run):
    finetune = class_run.settings.finetune.model_copy(update={"tta": "flips"})
    settings = class_run.settings.model_copy(update={"finetune": finetune})
    kept = run_kept(settings, class_run.data_set, "linear", finetune=True)
    model, images = kept.load(), torch.rand(2, 3, 160, 160)
    mirrored = model.network(images.flip(-1))
    assert torch.allclose(model.network(images), mirrored, atol=1e-5)
    assert not torch.allclose(
        class_run.load().network(images), class_run.load().network(images.flip(-1)), atol=1e-7
    )


def test_a_done_cell_is_trained_again_only_where_its_model_is_missing(class_run):
    settings, key = class_run.settings, class_run.key

    def planned(settings):
        sweep = ready(class_run.data_set, settings, backbones=(NETWORK,), heads=("linear",), folds=1)
        return sweep, [one.state for one in sweep.plan.cells]

    path = next((settings.runs_dir / "tiny").glob(f"*{key}.json"))
    before, state = path.read_bytes(), load_file(settings.models_dir / key / STATE_FILE)
    assert planned(settings)[1] == ["done"]
    shutil.rmtree(settings.models_dir / key)
    assert planned(settings.model_copy(update={"keep_models": False}))[1] == ["done"]
    sweep, states = planned(settings)
    assert states == ["to do"]
    swept(sweep, settings)
    again = load_file(settings.models_dir / key / STATE_FILE)
    assert all(torch.equal(again[name], value) for name, value in state.items())
    assert path.read_bytes() == before


def test_what_is_no_network_is_named_and_not_kept(class_run, tmp_path):
    settings = keeping(tmp_path)
    request = {"backbones": ("handcrafted",), "heads": ("knn", "linear"), "folds": 1}
    sweep = ready(class_run.data_set, settings, **request)
    assert "cannot be kept: handcrafted × knn, handcrafted × linear" in sweep.warnings[-1]
    assert [record.status for record in swept(sweep, settings).records] == ["finished"] * 2
    assert not settings.models_dir.exists()
    assert [one.state for one in ready(class_run.data_set, settings, **request).plan.cells] == ["done"] * 2


def test_a_model_is_found_by_the_beginning_of_its_key(class_run, tmp_path):
    settings = class_run.settings.model_copy(update={"models_dir": tmp_path})
    source = class_run.settings.models_dir / class_run.key
    for name in (class_run.key, class_run.key[:-1] + "z"):
        shutil.copytree(source, tmp_path / name)
    assert load_model(class_run.key, settings).card.key == class_run.key
    with pytest.raises(CvAutomlError, match="begins the keys of 2 kept models"):
        load_model(class_run.key[:8], settings)
    with pytest.raises(
        CvAutomlError, match=f"no kept model of run 'nowhere' .*{class_run.key}.*--keep-models"
    ):
        load_model("nowhere", settings)
    with pytest.raises(CvAutomlError, match="it is empty"):
        load_model("a", settings.model_copy(update={"models_dir": tmp_path / "none"}))


def torn_state(folder):
    (folder / STATE_FILE).write_bytes((folder / STATE_FILE).read_bytes()[:-100])


def foreign_state(folder):
    save_file({"x": torch.zeros(1)}, folder / STATE_FILE)


def no_state(folder):
    (folder / STATE_FILE).unlink()


def torn_card(folder):
    (folder / CARD_FILE).write_text((folder / CARD_FILE).read_text()[:200])


def foreign_card(folder):
    (folder / CARD_FILE).write_text("[]")


@pytest.mark.parametrize("spoil", [torn_state, foreign_state, no_state, torn_card, foreign_card])
def test_a_torn_or_foreign_model_is_one_sentence(class_run, tmp_path, spoil):
    folder = tmp_path / class_run.key
    shutil.copytree(class_run.settings.models_dir / class_run.key, folder)
    spoil(folder)
    settings = class_run.settings.model_copy(update={"models_dir": tmp_path})
    with pytest.raises(CvAutomlError, match=str(folder)) as raised:
        load_model(class_run.key, settings)
    assert "\n" not in str(raised.value)
    found, broken = kept_models(settings)
    assert len(found) + len(broken) == 1


def test_a_renamed_models_folder_is_refused(class_run, tmp_path):
    shutil.copytree(class_run.settings.models_dir / class_run.key, tmp_path / "abc")
    with pytest.raises(CvAutomlError, match="rename its folder back"):
        load_model("abc", class_run.settings.model_copy(update={"models_dir": tmp_path}))
