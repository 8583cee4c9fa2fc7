"""A check names every problem at once."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from lib.config import Settings
from lib.datasets.checking import check_data_set
from tests.datasets import made_up


def _expect(problems: tuple[str, ...], *parts: str) -> None:
    left = list(problems)
    for part in parts:
        match = next((p for p in left if part in p), None)
        assert match is not None, f"no problem says {part!r}: {problems}"
        left.remove(match)
    assert left == [], f"unexpected: {left}"


def test_healthy_sets_have_no_problem(tmp_path: Path, settings: Settings) -> None:
    for root in (
        made_up.folders(tmp_path / "a", {"x": 6, "y": 6}),
        made_up.masks(tmp_path / "b", [0, 1, 2] * 4),
        made_up.severstal(tmp_path / "c", [0, 1, 2, 3] * 3),
    ):
        assert check_data_set(root, settings).problems == ()


def test_all_problems_of_a_set_of_masks_are_named_at_once(tmp_path: Path, settings: Settings) -> None:
    root = made_up.masks(tmp_path / "set", [0, 1] * 8, n_classes=2)
    whole = (root / "images" / "000.png").read_bytes()
    (root / "images" / "000.png").write_bytes(whole[: len(whole) // 2])
    (root / "masks" / "001.png").unlink()
    Image.fromarray(np.zeros((9, 9), dtype=np.uint8)).save(root / "masks" / "002.png")
    Image.fromarray(np.full((40, 48), 9, dtype=np.uint8)).save(root / "masks" / "003.png")
    (root / "masks" / "004.png").write_bytes(b"broken")
    Image.fromarray(np.zeros((40, 48), dtype=np.uint8)).save(root / "masks" / "orphan.png")
    shutil.copy(root / "images" / "005.png", root / "images" / "copy.png")
    shutil.copy(root / "masks" / "005.png", root / "masks" / "copy.png")
    _expect(
        check_data_set(root, settings).problems,
        "images/000.png: not a readable image",
        "masks/001.png: there is no such mask",
        "masks/002.png: the mask is 9×9",
        "masks/003.png: holds the value 9",
        "masks/004.png: not a readable image",
        "masks/orphan.png: a mask without an image",
        "2 images are the same file: images/005.png, images/copy.png",
        "class 'kind2' of the card has no pixel",
    )


def test_all_broken_rows_of_train_csv_are_named_with_their_lines(tmp_path: Path, settings: Settings) -> None:
    root = made_up.severstal(tmp_path / "set", [0, 1, 2] * 4)
    with (root / "train.csv").open("a", encoding="utf-8") as table:
        table.write("000.jpg,1,1 2 2 2\n000.jpg,9,1 2\n003.jpg,1,0 2\n003.jpg,2,1921 1\ngone.jpg,1,1 2\n")
    _expect(
        check_data_set(root, settings).problems,
        "line 10 (000.jpg, class 1): RLE: the run at 2 overlaps",
        "line 11: ClassId '9'",
        "line 12 (003.jpg, class 1): RLE: start 0",
        "line 13 (003.jpg, class 2): RLE: the run at 1921 goes past",
        "names gone.jpg, which is not in train_images",
        "class '3' of the card has no row",
    )


def test_near_duplicates_across_a_declared_split_and_its_wrong_lines_are_named(
    tmp_path: Path, settings: Settings
) -> None:
    root = made_up.folders(tmp_path / "set", {"x": 6, "y": 6})
    made_up.picture(0).point(lambda v: min(255, v + 2)).save(root / "images" / "y" / "twin.png")
    files = sorted(p.relative_to(root).as_posix() for p in root.rglob("*.png"))
    lines = [f"{file},{'test' if i % 3 == 0 else 'train'}" for i, file in enumerate(files)]
    table = "\n".join(["file,split", *lines, "images/x/gone.png,train"])
    (root / "splits.csv").write_text(table.replace("twin.png,train", "twin.png,test"), encoding="utf-8")
    part = {line.split(",")[0]: line.split(",")[1] for line in lines}
    (root / "splits.csv").write_text(
        table.replace(f"twin.png,{part['images/y/twin.png']}", "twin.png,test").replace(
            f"x/000.png,{part['images/x/000.png']}", "x/000.png,train"
        ),
        encoding="utf-8",
    )
    _expect(
        check_data_set(root, settings).problems,
        "names images/x/gone.png, which is not there",
        "are nearly the same image in different parts",
    )


def test_copies_in_different_classes_and_empty_classes_are_named(tmp_path: Path, settings: Settings) -> None:
    root = made_up.folders(tmp_path / "set", {"x": 6, "y": 6})
    shutil.copy(root / "images" / "x" / "000.png", root / "images" / "y" / "again.png")
    made_up.card(root, name="set", layout="folders", classes=["x", "y", "z"])
    made_up.picture(77).save(root / "images" / "loose.png")
    _expect(
        check_data_set(root, settings).problems,
        "and they lie in different classes",
        "class 'z' of the card has no image",
        "loose.png: lies in no class folder",
    )


def test_a_folder_that_is_no_data_set_is_one_problem(tmp_path: Path, settings: Settings) -> None:
    assert len(check_data_set(tmp_path, settings).problems) == 1
    made_up.card(tmp_path, name="x", layout="masks", classes=["background", "a"])
    _expect(check_data_set(tmp_path, settings).problems, "there are no images in it")
