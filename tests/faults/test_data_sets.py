"""Folders that cannot work, or look as if they could: `check` names every problem, the rest refuse by a sentence."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.datasets import made_up
from tests.faults.conftest import Done, Run


def problems(run: Run, folder: Path) -> Done:
    """What `check` says of a folder that has a problem."""
    done = run("dataset", "check", folder)
    assert done.code in (1, 2) and "Traceback" not in done.err, done
    assert len(done.out + done.err) < 6000
    return done


def says(done: Done, *words: str) -> None:
    text = " ".join((done.out + done.err).split())
    for word in words:
        assert word in text, (word, text)


def test_one_class_only_is_a_problem(run: Run, tmp_path: Path) -> None:
    says(problems(run, made_up.folders(tmp_path / "mine", {"a": 12})), "one class")


def test_a_class_too_small_to_split_is_a_problem(run: Run, tmp_path: Path) -> None:
    says(problems(run, made_up.folders(tmp_path / "mine", {"a": 12, "b": 12, "rare": 1})), "rare")


def test_a_class_missing_in_train_is_a_problem(run: Run, classes: Path) -> None:
    files = sorted(path.relative_to(classes).as_posix() for path in (classes / "images").rglob("*.png"))
    parts = [
        "test" if "/c/" in name else ["train", "validation", "test"][i % 3] for i, name in enumerate(files)
    ]
    rows = [f"{name},{part}" for name, part in zip(files, parts, strict=True)]
    (classes / "splits.csv").write_text("\n".join(["file,split", *rows]) + "\n")
    says(problems(run, classes), "'c'", "train")


def test_a_card_field_nobody_knows_is_a_problem(run: Run, classes: Path) -> None:
    card = classes / "dataset.yaml"
    card.write_text(card.read_text() + "licens: MIT\n")
    says(problems(run, classes), "licens", "licence")


def test_two_rows_for_one_image_and_class_are_a_problem(run: Run, tmp_path: Path) -> None:
    steel = made_up.severstal(tmp_path / "steel", [0, 1, 2, 3, 1, 2])
    lines = (steel / "train.csv").read_text().splitlines()
    (steel / "train.csv").write_text("\n".join([*lines, lines[1]]) + "\n")
    says(problems(run, steel), "train.csv", "line 7")


@pytest.mark.parametrize("kind", ["float", "rgb", "many classes"])
def test_masks_that_are_no_class_indices_are_one_problem_each(run: Run, tmp_path: Path, kind: str) -> None:
    tiles = made_up.masks(tmp_path / "tiles", [0, 1, 2, 1, 2, 0])
    target = tiles / "masks" / "001.png"
    if kind == "float":
        target.unlink()
        Image.fromarray(np.random.default_rng(0).random((40, 48)).astype(np.float32)).save(
            target.with_suffix(".tif")
        )
    elif kind == "rgb":
        made_up.picture(3).convert("RGB").save(target)
    else:
        Image.fromarray(np.arange(40 * 48, dtype=np.uint16).reshape(40, 48)).save(target)
    done = problems(run, tiles)
    says(done, "001")
    assert (done.out + done.err).count("001") <= 2


def test_splits_that_are_a_folder_are_a_problem(run: Run, classes: Path) -> None:
    (classes / "splits.csv").mkdir()
    says(problems(run, classes), "splits.csv")


def test_a_pipe_named_like_an_image_is_named_and_never_read(run: Run, classes: Path) -> None:
    os.mkfifo(classes / "images" / "a" / "x.jpg")
    says(problems(run, classes), "x.jpg")


def test_a_class_without_read_permission_is_named(run: Run, classes: Path, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads everything: run as another user to try this")
    (classes / "images" / "a").chmod(0)
    try:
        says(problems(run, classes), "images/a")
    finally:
        (classes / "images" / "a").chmod(0o755)


@pytest.mark.parametrize("kind", ["empty folder", "file", "no such place", "device"])
def test_what_is_no_data_set_gets_a_sentence(run: Run, tmp_path: Path, kind: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    place = {"empty folder": tmp_path / "empty", "file": tmp_path / "file", "device": Path("/dev/null")}
    run("dataset", "describe", place.get(kind, tmp_path / "nowhere")).refused()
    run("recommend", place.get(kind, tmp_path / "nowhere")).refused()


@pytest.mark.parametrize(
    "content", [b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"<svg/>", b"\xff\xd8\xff\xe0" + b"x" * 100]
)
def test_a_broken_image_is_named(run: Run, classes: Path, content: bytes) -> None:
    (classes / "images" / "a" / "broken.png").write_bytes(content)
    says(problems(run, classes), "broken.png")


def test_an_image_bomb_is_named(run: Run, classes: Path) -> None:
    Image.new("1", (30_000, 30_000)).save(classes / "images" / "a" / "bomb.png")
    says(problems(run, classes), "bomb.png")
