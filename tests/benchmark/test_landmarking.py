"""Landmarks beside runs: filled in once, by the sweep where features are at hand, never for other images."""

from __future__ import annotations

from lib.benchmark.landmarking import fill_landmarks
from lib.benchmark.run import run_sweep
from lib.datasets import load_data_set
from lib.records import RecordStore
from tests.benchmark.made_up_sweep import ready


def facts_of(settings):
    return RecordStore(settings.runs_dir).read_facts()[0]["tiny"]


def sweep(tiny_set, settings, **values):
    prepared = ready(tiny_set, settings, **values)
    return run_sweep(prepared.plan, prepared.data_sets, settings)


def test_a_sweep_leaves_landmarks_of_features_it_had_at_hand(tiny_set, settings):
    assert not sweep(tiny_set, settings).warnings
    assert facts_of(settings).landmarks["handcrafted.linear_probe"] > 0.8
    assert {name.split(".")[0] for name in facts_of(settings).landmarks} == {"handcrafted"}


def test_a_sweep_without_features_leaves_none(tiny_set, settings):
    sweep(tiny_set, settings, heads=("naive",))
    assert facts_of(settings).landmarks == {}


def test_landmarks_are_filled_in_once(tiny_set, settings):
    sweep(tiny_set, settings, heads=("naive",))
    data_set, store = load_data_set(tiny_set, settings), RecordStore(settings.runs_dir)
    first = fill_landmarks(data_set, store, settings, ["handcrafted"])
    assert first.state == "probed"
    assert facts_of(settings).landmarks == first.landmarks
    assert facts_of(settings).meta_features
    assert fill_landmarks(data_set, store, settings, ["handcrafted"]).state == "known"
    assert fill_landmarks(data_set, store, settings, ["handcrafted"], again=True) == first


def test_a_set_without_runs_or_with_other_images_is_left_out(tiny_set, settings):
    data_set, store = load_data_set(tiny_set, settings), RecordStore(settings.runs_dir)
    assert "run the zoo" in fill_landmarks(data_set, store, settings).warnings[0]
    sweep(tiny_set, settings, heads=("naive",))
    next(tiny_set.rglob("*.png")).unlink()
    changed = fill_landmarks(load_data_set(tiny_set, settings), store, settings)
    assert changed.state == "left out"
    assert "fingerprint" in changed.warnings[0]
