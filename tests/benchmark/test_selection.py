"""Names of a request become parts that exist; every wrong one is told at once, and `all` leaves out what it cannot use."""

from __future__ import annotations

import pytest

from lib.benchmark.prepare import prepared
from lib.benchmark.selection import select
from lib.errors import CvAutomlError
from lib.records.design import Design, DesignCell
from tests.benchmark.made_up_sweep import request, write_tiny_set


def test_all_wrong_names_are_told_at_once(settings):
    wrong = request("nowhere", backbones=("resnet18x",), heads=("lineer", "mpl"))
    with pytest.raises(CvAutomlError) as told:
        select(wrong, settings)
    for name in ("nowhere", "resnet18x", "lineer", "mpl"):
        assert name in str(told.value)
    assert "did you mean linear" in str(told.value)


def test_all_data_sets_are_those_that_load(tiny_set, settings):
    (settings.datasets_dir / "empty").mkdir()
    selection = select(request("all"), settings)
    assert [chosen.info.name for chosen in selection.data_sets] == ["tiny"]
    assert any("empty" in sentence for sentence in selection.left_out)


def test_all_without_any_data_set_is_a_sentence(settings):
    with pytest.raises(CvAutomlError, match="no data set to run on"):
        select(request("all"), settings)


def test_the_same_data_set_named_twice_counts_once(tiny_set, settings):
    selection = select(request("tiny", data_sets=("tiny", "tiny")), settings)
    assert len(selection.data_sets) == 1


def test_a_data_set_given_by_name_and_by_path_counts_once(tiny_set, settings):
    selection = select(request("tiny", data_sets=("tiny", str(tiny_set))), settings)
    assert len(selection.data_sets) == 1


def test_all_heads_are_those_that_fit_the_task(tiny_set, settings):
    selection = select(request(tiny_set, heads=("all",)), settings)
    heads = selection.heads(selection.data_sets[0].info)
    assert {"naive", "linear", "mlp", "student", "knn", "catboost"} <= set(heads)
    assert "deeplabv3plus" not in heads


def test_backbones_without_weights_are_left_out_of_all_and_refused_by_name(
    tiny_set, settings, tmp_path, monkeypatch
):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *given, **named: None)
    everything = select(request(tiny_set, backbones=("all",)), settings)
    assert [info.name for info in everything.backbones] == ["handcrafted"]
    assert any("resnet18" in sentence for sentence in everything.left_out)
    with pytest.raises(CvAutomlError, match="weights random"):
        select(request(tiny_set, backbones=("resnet18",)), settings)


def test_two_data_sets_keep_their_order(settings):
    for name in ("b", "a"):
        write_tiny_set(settings.datasets_dir / name)
    selection = select(request("b", data_sets=("b", "a")), settings)
    assert [chosen.info.name for chosen in selection.data_sets] == ["b", "a"]


def test_a_sweep_follows_a_design_and_takes_its_fine_tuned_columns(tiny_set, settings):
    pairs = [("handcrafted", "linear"), ("tf_mobilenetv3_small_100", "mlp (fine-tuned)")]
    cells = tuple(DesignCell(tiny_set.name, *pair) for pair in pairs)
    design = Design(seed=0, share=0.5, hidden_share=0, possible=4, cells=cells[:1], hidden=cells[1:])
    asked = request(tiny_set, backbones=design.names(1), heads=design.names(2), design=design)
    planned = [p.cell for p in prepared(asked, settings.override(weights="random")).plan.cells]
    assert [(c.backbone.name, c.column, c.recipe.finetune) for c in planned] == [
        (*pairs[0], False),
        (*pairs[1], True),
    ]
    assert [len(c.recipe.folds) for c in planned] == [5, 2]
