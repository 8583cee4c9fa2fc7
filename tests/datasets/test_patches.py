"""Patches: around defects, with provenance, parts as those of the images."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lib.config import Settings
from lib.datasets import load_data_set
from lib.datasets.annotations import Component
from lib.datasets.cards import read_card
from lib.datasets.checking import check_data_set
from lib.datasets.patches import squares_around, write_patches
from lib.datasets.procedural import write_sample
from lib.errors import DataSetError


@pytest.fixture(scope="module")
def steel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("patches") / "steel"
    write_sample(root, 32, seed=2)
    return root


def _provenance(folder: Path) -> list[dict[str, str]]:
    with (folder / "provenance.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_patches_are_a_sound_set_whose_parts_follow_the_images(
    steel: Path, tmp_path: Path, settings: Settings
) -> None:
    parent = load_data_set(steel, settings)
    summary = write_patches(parent, tmp_path / "cut", size_px=64, context=0.25)
    patches = load_data_set(tmp_path / "cut", settings)
    assert patches.task == "classification" and patches.classes[0] == "no_defect"
    assert set(patches.classes[1:]) <= set(parent.classes) and patches.card.procedural
    assert (patches.parent, patches.derivation) == ("steel", "patches size=64 context=0.25")
    part = dict(zip(parent.files, parent.parts.tolist(), strict=True))
    rows = {row["file"]: row for row in _provenance(tmp_path / "cut")}
    for file, own in zip(patches.files, patches.parts.tolist(), strict=True):
        assert (own == part[rows[file]["source"]] and patches.classes[0] in file) or rows[file][
            "label"
        ] in file
    assert sum(sum(c.values()) for c in summary.counts.values()) == len(patches)
    assert patches.read_image(0).shape == (64, 64, 3)
    assert [
        p for p in check_data_set(tmp_path / "cut", settings).problems if "nearly the same" not in p
    ] == []


def test_a_patch_shows_its_square_and_the_class_it_is_named_for(
    steel: Path, tmp_path: Path, settings: Settings
) -> None:
    parent = load_data_set(steel, settings)
    assert parent.read_mask is not None
    write_patches(parent, tmp_path / "cut", size_px=64)
    for row in _provenance(tmp_path / "cut"):
        i = parent.files.index(row["source"])
        x, y, side = (int(row[k]) for k in ("x", "y", "side"))
        inside = parent.read_mask(i)[:, y : y + side, x : x + side].sum(axis=(1, 2))
        assert inside.max() == int(row["defect_area"])
        label = "no_defect" if not inside.any() else parent.classes[int(inside.argmax())]
        assert label == row["label"]
        cut = Image.fromarray(parent.read_image(i)[y : y + side, x : x + side]).convert("L").resize((64, 64))
        with Image.open(tmp_path / "cut" / row["file"]) as patch:
            difference = np.abs(np.asarray(patch, dtype=float) - np.asarray(cut, dtype=float)).mean()
        assert difference < 4


def test_the_same_call_gives_the_same_patches(steel: Path, tmp_path: Path, settings: Settings) -> None:
    parent = load_data_set(steel, settings)
    for name in ("a", "b"):
        write_patches(parent, tmp_path / name / "cut", size_px=32)
    a, b = load_data_set(tmp_path / "a" / "cut", settings), load_data_set(tmp_path / "b" / "cut", settings)
    assert (a.fingerprint, a.split_hash) == (b.fingerprint, b.split_hash)
    assert _provenance(tmp_path / "a" / "cut") == _provenance(tmp_path / "b" / "cut")


def test_a_long_defect_gets_several_squares_that_cover_it() -> None:
    squares = squares_around(
        Component(0, x=100, y=120, width=900, height=6, area=5400), (256, 1600), 224, 0.25
    )
    covered = np.zeros(1600, dtype=bool)
    for square in squares:
        assert square.side == 256 and square.y == 0 and 0 <= square.x <= 1600 - 256
        covered[square.x : square.x + square.side] = True
    assert covered[100:1000].all() and len(squares) == 4


@pytest.mark.parametrize(
    ("box", "side"), [((0, 0, 4, 4), 112), ((300, 100, 100, 60), 150), ((1590, 250, 10, 6), 112)]
)
def test_a_square_has_context_and_stays_inside(box: tuple[int, int, int, int], side: int) -> None:
    x, y, width, height = box
    (square,) = squares_around(Component(0, x, y, width, height, 24), (256, 1600), 224, 0.25)
    assert square.side == side
    assert 0 <= square.x <= x and x + width <= square.x + side <= 1600
    assert 0 <= square.y <= y and y + height <= square.y + side <= 256


def test_other_folders_are_not_overwritten_and_earlier_patches_are(
    steel: Path, tmp_path: Path, settings: Settings
) -> None:
    parent = load_data_set(steel, settings)
    with pytest.raises(DataSetError, match="holds something else than patches"):
        write_patches(parent, steel)
    write_patches(parent, tmp_path / "cut", size_px=32)
    write_patches(parent, tmp_path / "cut", size_px=48)
    assert "size=48" in (read_card(tmp_path / "cut").derivation or "")
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_unused_images_of_a_view_give_no_patches(steel: Path, tmp_path: Path, settings: Settings) -> None:
    view = load_data_set(f"{steel}@train30", settings)
    write_patches(view, tmp_path / "cut", size_px=32)
    used = {view.files[i] for i in range(len(view)) if view.parts[i] != "unused"}
    assert {row["source"] for row in _provenance(tmp_path / "cut")} <= used
    assert read_card(tmp_path / "cut").parent == "steel"


def test_labels_cannot_be_cut_by_defects(steel: Path, tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(DataSetError, match="has no masks"):
        write_patches(load_data_set(f"{steel}@defect", settings), tmp_path / "cut")
