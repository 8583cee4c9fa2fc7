"""Scales: exact values, inverses, slopes."""

from __future__ import annotations

import numpy as np
import pytest

from lib.performance_prediction.table import scales
from lib.performance_prediction.table.scales import SCALES, Scale


@pytest.mark.parametrize("name", [scale.name for scale in SCALES])
def test_scores_come_back_and_slopes_are_the_derivative(name: scales.ScaleName) -> None:
    scores = np.array([[0.0, 0.2, 0.5, 0.99, 1.0]])
    scale = Scale.fitted(name, scores)
    modelled = scale.forward(scores)
    assert modelled.mean() == pytest.approx(0, abs=1e-12) and modelled.std() == pytest.approx(1)
    np.testing.assert_allclose(scale.backward(modelled), scores, atol=1e-12)
    step = 1e-6
    numeric = (scale.backward(modelled + step) - scale.backward(modelled - step)) / (2 * step)
    np.testing.assert_allclose(numeric[0, 1:4], scale.slope(scores)[0, 1:4], rtol=1e-4)


def test_nothing_measured_leaves_the_scale_as_it_is() -> None:
    assert Scale.fitted("logit", np.array([np.nan])) == Scale("logit")
