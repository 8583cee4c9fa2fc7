"""An ablation runs the same cells once a value, resumes, and compares fold by fold."""

from dataclasses import replace

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


def test_the_difference_is_the_paired_t_interval(request_of, settings, tmp_path):
    found = ran("classification.mlp_dropouts", ["[0.0]", "[0.9]"], request_of, settings)
    first, second = ablation_rows(found)
    values = [[v for r in records for v in r.fold_qualities().values()] for records in found.values()]
    expected = ttest_rel(values[1], values[0]).confidence_interval()
    assert first.difference is None and second.n_pairs == 4
    if np.std(np.subtract(*values)) > 0:
        assert (second.low, second.high) == pytest.approx((expected.low, expected.high))
    assert second.difference == pytest.approx(np.mean(values[1]) - np.mean(values[0]))
    draw_ablation([first, second], "dropout", tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 5000
    assert verdict([first, replace(second, low=0.01, high=0.2)], "x").endswith("better: [0.9] (tiny)")


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
