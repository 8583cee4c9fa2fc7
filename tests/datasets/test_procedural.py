"""The procedural sample: Severstal's layout, the same bytes each time, four defects that differ."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lib.config import Settings
from lib.datasets import load_data_set
from lib.datasets.checking import check_data_set
from lib.datasets.procedural import DEFECTS, draw_strip, write_sample
from lib.errors import DataSetError


def _bytes(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_the_sample_is_a_sound_set_that_says_it_is_procedural(tmp_path: Path, settings: Settings) -> None:
    write_sample(tmp_path / "steel", 48, seed=1)
    data_set = load_data_set(tmp_path / "steel", settings)
    assert (
        data_set.card.procedural and data_set.info().procedural and "rocedural" in data_set.card.description
    )
    assert data_set.read_image(0).shape == (256, 1600, 3) and len(data_set.classes) == 4
    assert min(data_set.class_counts()) >= 6
    assert data_set.mask_areas is not None and (~data_set.mask_areas.any(axis=1)).sum() == 24
    assert check_data_set(tmp_path / "steel", settings).problems == ()


def test_the_same_seed_gives_the_same_bytes_and_another_one_does_not(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        write_sample(tmp_path / name / "steel", 8, seed=seed)
    a, b, c = (_bytes(tmp_path / name / "steel") for name in "abc")
    assert a == b and set(a) != set(c)


def test_rolls_differ_in_brightness_and_texture() -> None:
    greys = [_decoded(draw_strip(0, i, ())[0]) for i in range(6)]
    means = [grey.mean() for grey in greys]
    grain = [np.diff(grey, axis=1).std() for grey in greys]
    assert max(means) - min(means) > 60 and max(grain) > 1.5 * min(grain)


@pytest.mark.parametrize("k", range(4))
def test_a_defect_changes_the_strip_where_its_mask_says(k: int) -> None:
    with_defect, masks = draw_strip(5, 2, (k,))
    without, none = draw_strip(5, 2, ())
    assert set(masks) == {k} and none == {}
    changed = np.abs(_decoded(with_defect) - _decoded(without))
    assert changed[masks[k]].mean() > 3 * changed[~masks[k]].mean()
    assert 500 < masks[k].sum() < 0.3 * masks[k].size


def test_the_four_defects_differ_in_size_and_shade() -> None:
    facts = []
    for k in range(len(DEFECTS.names())):
        areas, shades = [], []
        for i in range(6):
            pictured, masks = draw_strip(9, i, (k,))
            grey = _decoded(pictured)
            areas.append(masks[k].mean())
            shades.append(grey[masks[k]].mean() - np.median(grey))
        facts.append((np.mean(areas), np.mean(shades)))
    pitting, scratch, patch, crack = facts
    assert scratch[1] > 10 > pitting[1] > crack[1] and patch[0] > 2 * max(pitting[0], scratch[0], crack[0])


def test_an_earlier_sample_is_replaced_and_anything_else_is_not(tmp_path: Path) -> None:
    write_sample(tmp_path / "steel", 8, seed=0)
    write_sample(tmp_path / "steel", 10, seed=0)
    assert len(list((tmp_path / "steel" / "train_images").iterdir())) == 10
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x", encoding="utf-8")
    with pytest.raises(DataSetError, match="holds something else"):
        write_sample(tmp_path / "mine", 8, seed=0)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine", "steel"]


def test_too_few_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataSetError, match="too small"):
        write_sample(tmp_path / "steel", 3, seed=0)


def _decoded(jpeg: bytes) -> np.ndarray:  # type: ignore[type-arg]
    import io

    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(jpeg)), dtype=float)
