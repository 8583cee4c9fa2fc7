"""Whatever the input, these hold: RLE there and back, folds that test every image once, records read as themselves or named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lib.config import SplitSettings
from lib.datasets import rle
from lib.datasets.cards import read_card
from lib.datasets.splits import cross_validation
from lib.errors import CvAutomlError
from lib.performance_prediction.table.score_csv import read_score_table
from lib.records import RecordStore
from lib.records.schema import RunRecord
from tests.records.factory import make_record

QUICK = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@QUICK
@given(arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_rle_comes_back_as_it_went(mask: Any) -> None:
    again = np.zeros_like(mask)
    rle.fill(rle.parse(rle.encode(mask), *mask.shape), again)
    assert (again == mask).all()


@QUICK
@given(st.text(st.sampled_from("0123456789 -.ex\t\n٣"), max_size=30))
def test_rle_of_any_text_is_runs_or_a_sentence(text: str) -> None:
    try:
        runs = rle.parse(text, 20, 30)
    except CvAutomlError as error:
        assert str(error)
    else:
        assert 0 <= runs.area <= 600


@QUICK
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12)), min_size=2, max_size=60),
    st.integers(2, 7),
    st.integers(0, 5),
)
def test_folds_test_every_image_once_and_keep_groups_whole(
    images: list[tuple[int, int]], n_folds: int, seed: int
) -> None:
    strata, groups = (np.array(values) for values in zip(*images, strict=True))
    assume(len(np.unique(groups)) > 1)
    names = [f"{i}.png" for i in range(len(images))]
    folds = cross_validation(names, strata, groups, SplitSettings(folds=n_folds, seed=seed))
    assert (np.stack([parts == "test" for parts in folds]).sum(axis=0) == 1).all()
    for parts in folds:
        assert (parts == "train").any()
        for group in np.unique(groups):
            assert len(set(parts[groups == group])) == 1


def _places(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in inner for place in [(*way, key), *_places(item, (*way, key))]]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@QUICK
@given(st.data())
def test_a_mutated_record_is_read_as_itself_or_named(tmp_path: Path, data: Any) -> None:
    store = RecordStore(tmp_path / "runs")
    path = store.write(make_record())
    record = json.loads(path.read_text())
    way = data.draw(st.sampled_from(_places(record)))
    place = record
    for step in way[:-1]:
        place = place[step]
    if data.draw(st.booleans()):
        place[way[-1]] = data.draw(JSON)
    else:
        del place[way[-1]]
    path.write_text(json.dumps(record))
    kept, broken = store.read_all()
    assert len(kept) + len(broken) == 1
    for one in kept:
        assert isinstance(one, RunRecord) and store.path_of(one).name == path.name
        assert one.quality() is None or 0 <= one.quality() <= 1


@QUICK
@given(
    st.dictionaries(
        st.sampled_from(["name", "domain", "task", "layout", "classes", "group", "licence", "x"]), JSON
    )
)
def test_a_card_of_any_values_is_read_or_refused_by_a_sentence(tmp_path: Path, card: dict[str, Any]) -> None:
    path = tmp_path / "dataset.yaml"
    path.write_text(yaml.safe_dump(card))
    try:
        read_card(tmp_path)
    except CvAutomlError as error:
        assert str(tmp_path) in str(error)


@QUICK
@given(
    st.lists(
        st.lists(
            st.sampled_from(["", "0.5", "1", "0", "1.5", "-1", "x", '"', ",", "nan", " 0.3 ", "1e-3"]),
            max_size=4,
        ),
        max_size=6,
    )
)
def test_a_score_table_of_any_cells_is_read_or_refused_by_a_sentence(
    tmp_path: Path, rows: list[list[str]]
) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("\n".join(["name,a,b,c", *(",".join([f"r{i}", *row]) for i, row in enumerate(rows))]))
    try:
        table = read_score_table(path).table
    except CvAutomlError as error:
        assert "scores.csv" in str(error)
    else:
        values = table.values[np.isfinite(table.values)]
        assert ((values >= 0) & (values <= 1)).all()


@pytest.mark.parametrize("folds", [2, 5])
def test_two_images_are_enough_for_folds_and_one_is_not(folds: int) -> None:
    split = SplitSettings(folds=folds)
    zeros = np.zeros(2, dtype=np.int64)
    assert len(cross_validation(["a", "b"], zeros, np.arange(2), split)) == 2
    with pytest.raises(CvAutomlError):
        cross_validation(["a", "b"], zeros, zeros, split)
