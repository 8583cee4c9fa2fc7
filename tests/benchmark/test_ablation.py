"""An ablation runs the same cells once a value, resumes, and compares fold by fold."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import ttest_rel

from lib.benchmark.ablation import run_variant, variants
from lib.benchmark.listening import Listener
from lib.benchmark.selection import Request
from lib.errors import ConfigError
from lib.reporting.ablation import ablation_rows, draw_ablation, verdict
from tests.benchmark.made_up_sweep import write_tiny_set

REQUEST = Request((), ("handcrafted",), ("mlp",), seeds=(0, 1), folds=2, epochs=3)


@pytest.fixture
def request_of(tmp_path):
    folder = write_tiny_set(tmp_path / "tiny", images=12)
    return replace(REQUEST, data_sets=(str(folder),))


def ran(over, values, request, settings):
    return {v.value: run_variant(v, Listener()) for v in variants(over, values, request, settings)}


def test_each_value_is_measured_with_everything_else_alike(request_of, settings):
    found = ran("classification.mlp_dropouts", ["[0.0]", "[0.9]"], request_of, settings)
    tried = {value: {r.recipe.grid["dropout"] for r in records} for value, records in found.items()}
    assert tried == {"[0.0]": {(0.0,)}, "[0.9]": {(0.9,)}}
    assert len({r.key for records in found.values() for r in records}) == 4
    again = ran("classification.mlp_dropouts", ["[0.0]", "[0.9]"], request_of, settings)
    assert [r.environment for rs in again.values() for r in rs] == [
        r.environment for rs in found.values() for r in rs
    ]


def of_folds(values, n_folds, error=0.05):
    """A record for each seed: `values[seed][fold]`, one after the other."""
    places = [{(seed, fold): v for fold, v in enumerate(row[:n_folds])} for seed, row in enumerate(values)]
    return [
        SimpleNamespace(
            status="finished",
            data_set=SimpleNamespace(name="tiny"),
            backbone=SimpleNamespace(name="b"),
            head=SimpleNamespace(name="h"),
            recipe=SimpleNamespace(finetune=False),
            timing=SimpleNamespace(training_s=1.0),
            seed=seed,
            fold_qualities=lambda metric, place=place: {fold: v for (_, fold), v in place.items()},
            standard_error=lambda metric: error,
            quality=lambda metric, part: 0.5,
        )
        for seed, place in enumerate(places)
    ]


FIRST = np.array([[0.70, 0.72, 0.75], [0.71, 0.70, 0.77]])
SECOND = np.array([[0.74, 0.78, 0.76], [0.77, 0.71, 0.80]])


def test_over_folds_the_interval_is_the_paired_t_interval_of_their_means():
    found = {"a": of_folds(FIRST, 3), "b": of_folds(SECOND, 3)}
    first, second = ablation_rows(found)
    expected = ttest_rel(SECOND.mean(axis=0), FIRST.mean(axis=0)).confidence_interval()
    assert first.difference is None and second.n_pairs == 6
    assert (second.low, second.high) == pytest.approx((expected.low, expected.high))
    assert second.difference == pytest.approx(SECOND.mean() - FIRST.mean())


def test_seeds_on_the_same_images_cannot_make_the_interval_narrower_than_those_images_allow():
    alike = {"a": of_folds([[0.90]] * 3, 1), "b": of_folds([[0.94]] * 3, 1)}
    row = ablation_rows(alike)[1]
    reach = 1.959964 * np.hypot(0.05, 0.05)
    assert (row.low, row.high) == pytest.approx((0.04 - reach, 0.04 + reach))
    assert "nothing can be told apart" in verdict([row], "x")
    assert ablation_rows({"a": of_folds([[0.9]], 1), "b": of_folds([[0.94]], 1)})[1].low is None


def test_the_result_is_drawn_and_said(tmp_path):
    first, second = ablation_rows({"a": of_folds(FIRST, 3), "b": of_folds(SECOND, 3)})
    draw_ablation([first, second], "dropout", tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 5000
    assert verdict([first, replace(second, low=0.01, high=0.2)], "x").endswith("better: b (tiny)")


@pytest.mark.parametrize(
    ("over", "values", "says"),
    [
        ("nonsense", ["1"], "nonsense"),
        ("nonsense", [], "--value"),
        ("weights", ["half"], "pretrained frozen"),
        ("loss", ["dice"], "multilabel"),
    ],
)
def test_what_cannot_be_varied_is_refused(over, values, says, request_of, settings):
    request, settings = replace(request_of, heads=("linear",)), settings.override(weights="random")
    with pytest.raises(ConfigError, match=says):
        list(variants(over, values, request, settings))
