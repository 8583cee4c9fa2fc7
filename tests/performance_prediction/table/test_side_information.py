"""What names and features say."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lib.performance_prediction.table.side_information import side_coordinates


def test_names_that_share_parts_are_near_each_other() -> None:
    networks = ["vit|laion|lr0.1", "vit|laion|lr0.01", "resnet|openai|lr0.1", "resnet|openai|lr0.01"]
    places = side_coordinates([*networks, "vit|openai|lr0.1"], None)
    assert np.linalg.norm(places[0] - places[1]) < np.linalg.norm(places[0] - places[3])


def test_names_with_nothing_in_common_say_nothing() -> None:
    assert side_coordinates(["3", "8", "11", "12"], None).shape == (4, 0)


def test_features_alike_lie_together_and_gaps_are_no_numbers() -> None:
    features = pd.DataFrame(
        {"size": [10.0, 1000.0, np.nan, 11.0, 900.0, 3.0], "kind": ["a", "b", "a", "a", "b", None]}
    )
    places = side_coordinates([str(i) for i in range(6)], features)
    apart = np.linalg.norm(places[:, None] - places, axis=2)
    assert apart[0].argsort()[1] == 3 and apart[1].argsort()[1] == 4 and np.isfinite(places).all()
    np.testing.assert_allclose(places.mean(axis=0), 0, atol=1e-12)
