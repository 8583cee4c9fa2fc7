"""More folders that cannot work: one fault of each kind, put into a healthy set; it is named at once and nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lib.config import Settings
from lib.datasets import images, load_data_set
from lib.datasets.checking import check_data_set
from lib.datasets.images import image_files
from lib.datasets.inventory import list_data_sets
from lib.errors import DataSetError
from tests.datasets import made_up
from tests.faults.conftest import Run


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(datasets_dir=tmp_path / "datasets", cache_dir=tmp_path / "cache")


def problems(root: Path, settings: Settings) -> str:
    """What `check` finds, and that the set is refused by a sentence or read; both quickly."""
    try:
        load_data_set(root, settings)
    except DataSetError as error:
        assert len(str(error)) < 2000
    found = check_data_set(root, settings).problems
    assert sum(map(len, found)) < 6000 and all(problem.isprintable() for problem in found)
    return "\n".join(found)


def rewrite(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def replace_by(path: Path, make: Callable[[Path], None]) -> None:
    path.unlink(missing_ok=True)
    make(path)


def splits(root: Path, *more: str, end: str = "\n") -> None:
    files = sorted(p.relative_to(root).as_posix() for p in (root / "images").rglob("*.png"))
    parts = ("train", "test", "val", "train", "test")
    rows = [f"{file},{parts[i % 5]}" for i, file in enumerate(files)]
    (root / "splits.csv").write_bytes(end.join(["file,split", *rows, *more]).encode())


SETS = {
    "folders": lambda root: made_up.folders(root, {"a": 10, "b": 10}),
    "masks": lambda root: made_up.masks(root, [0, 1, 2] * 4),
    "severstal": lambda root: made_up.severstal(root, [0, 1, 2, 3] * 3),
}
Fault = tuple[str, Callable[[Path], object], tuple[str, ...]]
NAMED: dict[str, Fault] = {
    "a link to itself": (
        "folders",
        lambda root: (root / "images/a/x.png").symlink_to(root / "images/a/x.png"),
        ("x.png",),
    ),
    "a link to nowhere": ("folders", lambda root: (root / "images/a/x.png").symlink_to("gone"), ("x.png",)),
    "a device": ("folders", lambda root: (root / "images/a/x.png").symlink_to("/dev/zero"), ("x.png",)),
    "a socket": ("folders", lambda root: _socket(root / "images/a/x.png"), ("x.png",)),
    "a folder that is not UTF-8": (
        "folders",
        lambda root: os.rename(root / "images/a", os.fsencode(root / "images") + b"/\xffa"),
        (r"\xffa", "UTF-8"),
    ),
    "a name with an escape": (
        "masks",
        lambda root: made_up.picture(5).save(root / "images" / "x\x1b[2J\n.png"),
        (r"\x1b[2J\n.png",),
    ),
    "a card that is a folder": (
        "folders",
        lambda root: replace_by(root / "dataset.yaml", Path.mkdir),
        ("dataset.yaml",),
    ),
    "a card that is a pipe": (
        "folders",
        lambda root: replace_by(root / "dataset.yaml", os.mkfifo),
        ("dataset.yaml",),
    ),
    "a split that is a pipe": ("folders", lambda root: os.mkfifo(root / "splits.csv"), ("splits.csv",)),
    "folds that are a link to nowhere": (
        "folders",
        lambda root: (root / "folds.csv").symlink_to("gone"),
        ("folds.csv",),
    ),
    "a table that is a folder": (
        "severstal",
        lambda root: replace_by(root / "train.csv", Path.mkdir),
        ("train.csv",),
    ),
    "a table that is a pipe": (
        "severstal",
        lambda root: replace_by(root / "train.csv", os.mkfifo),
        ("train.csv",),
    ),
    "a mask that is a pipe": (
        "masks",
        lambda root: replace_by(root / "masks/001.png", os.mkfifo),
        ("masks/001.png",),
    ),
    "a mask that is a folder": (
        "masks",
        lambda root: replace_by(root / "masks/001.png", Path.mkdir),
        ("masks/001.png",),
    ),
    "a mask of no bytes": (
        "masks",
        lambda root: (root / "masks/001.png").write_bytes(b""),
        ("masks/001.png",),
    ),
    "a mask of another size": (
        "masks",
        lambda root: Image.fromarray(np.zeros((7, 9), dtype=np.uint8)).save(root / "masks/001.png"),
        ("masks/001.png", "7×9"),
    ),
    "a mask of fractions": (
        "masks",
        lambda root: Image.fromarray(np.full((40, 48), 0.5, dtype=np.float32)).save(
            root / "masks/001.png", format="TIFF"
        ),
        ("masks/001.png", "fractions"),
    ),
    "one file twice in the split": (
        "folders",
        lambda root: splits(root, "images/a/000.png,train"),
        ("splits.csv", "line 22", "again"),
    ),
    "one file in two parts": ("folders", lambda root: splits(root, "images/a/000.png,test"), ("line 22",)),
    "a part nobody knows": ("folders", lambda root: splits(root, "images/a/000.png,"), ("line 22",)),
    "NUL in a split": ("folders", lambda root: splits(root, "a\0b,train"), ("splits.csv",)),
    "a split in UTF-16": (
        "folders",
        lambda root: (root / "splits.csv").write_bytes("file,split".encode("utf-16")),
        ("splits.csv",),
    ),
    "classes that differ in case": (
        "folders",
        lambda root: made_up.folders(root, {"a": 10, "b": 10, "B": 10}),
        ("'B'", "upper and lower"),
    ),
    "classes by the thousand": (
        "folders",
        lambda root: made_up.card(
            root, name="x", layout="folders", classes=["a", "b", *(f"c{i}" for i in range(9000))]
        ),
        ("9000 classes",),
    ),
    "mask classes by the thousand": (
        "masks",
        lambda root: made_up.card(
            root, name="x", layout="masks", classes=["background", *(f"c{i}" for i in range(6000))]
        ),
        ("6001 classes",),
    ),
    "a name as long as a page": (
        "folders",
        lambda root: made_up.card(root, name="x" * 5000, layout="folders"),
        ("dataset.yaml",),
    ),
    "a class without a name": (
        "folders",
        lambda root: made_up.card(root, name="x", layout="folders", classes=["a", "b", ""]),
        ("dataset.yaml",),
    ),
    "a parent with an escape": (
        "folders",
        lambda root: made_up.card(root, name="x", layout="folders", parent="x\x1b[2J", licence="MIT\x07"),
        ("dataset.yaml", "parent"),
    ),
    "a pattern of half a bracket": (
        "folders",
        lambda root: made_up.card(root, name="x", layout="folders", group="[" * 3000),
        ("dataset.yaml", "group"),
    ),
    "an image nobody has": (
        "severstal",
        lambda root: rewrite(root / "train.csv", lambda text: text + b"\x1b[2J,1,1 2\n"),
        ("train.csv", r"\x1b[2J"),
    ),
    "a class with and without a zero": (
        "severstal",
        lambda root: rewrite(root / "train.csv", lambda text: text + b"001.jpg,01,1 2\n"),
        ("line 11", "001.jpg"),
    ),
    "no image at all in a row": (
        "severstal",
        lambda root: rewrite(root / "train.csv", lambda text: text + b",1,1 2\n"),
        ("train.csv",),
    ),
    "runs beyond every number": (
        "severstal",
        lambda root: rewrite(root / "train.csv", lambda text: text + b"000.jpg,1," + b"9" * 5000 + b" 2\n"),
        ("line 11",),
    ),
    "a run whose end overflows": (
        "severstal",
        lambda root: rewrite(
            root / "train.csv", lambda text: text + b"000.jpg,1,9223372036854775807 9223372036854775807\n"
        ),
        ("line 11",),
    ),
    **{
        f"a class that YAML reads as {word}": (
            "folders",
            lambda root, word=word: (root / "dataset.yaml").write_text(f"name: x\nclasses: [a, b, {word}]\n"),
            ("dataset.yaml", "quotes"),
        )
        for word in ("yes", "null", "2020-01-01", "1.10", "[c]")
    },
}


def _socket(path: Path) -> None:
    import socket

    place = Path.cwd()
    os.chdir(path.parent)  # the path of a socket has a length of its own
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir(place)


@pytest.mark.parametrize("fault", NAMED)
def test_a_fault_is_named(tmp_path: Path, settings: Settings, fault: str) -> None:
    layout, spoil, words = NAMED[fault]
    root = SETS[layout](tmp_path / "mine")
    spoil(root)
    found = problems(root, settings)
    assert all(word in found for word in words), found


FINE: dict[str, tuple[str, Callable[[Path], object]]] = {
    "a folder that holds itself": (
        "folders",
        lambda root: (root / "images/a/again").symlink_to(root / "images/a"),
    ),
    "folders named like images": ("folders", lambda root: (root / "images/a/x.png").mkdir()),
    "a name of 250 letters": (
        "folders",
        lambda root: os.rename(root / "images/a/000.png", root / "images/a" / f"{'x' * 246}.png"),
    ),
    "percent, braces and brackets": (
        "folders",
        lambda root: os.rename(root / "images/a/000.png", root / "images/a/100%s{0}[red]*?.png"),
    ),
    "spaces that no keyboard has": (
        "folders",
        lambda root: os.rename(root / "images/a/000.png", root / "images/a/10.00\u202fAM.png"),
    ),
    "a split from Windows": ("folders", lambda root: splits(root, end="\r\n")),
    "a card from Windows": (
        "folders",
        lambda root: rewrite(
            root / "dataset.yaml", lambda text: b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n")
        ),
    ),
    "a table from Windows": (
        "severstal",
        lambda root: rewrite(root / "train.csv", lambda text: b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n")),
    ),
    "pipes that are no images": ("folders", lambda root: os.mkfifo(root / "images/a/notes.txt")),
    "classes that are numbers": (
        "folders",
        lambda root: (
            os.rename(root / "images/a", root / "images/1"),
            (root / "dataset.yaml").write_text("name: 7\nclasses: [1, b]\n"),
        ),
    ),
}


@pytest.mark.parametrize("oddity", FINE)
def test_what_is_odd_but_sound_is_read(tmp_path: Path, settings: Settings, oddity: str) -> None:
    layout, change = FINE[oddity]
    root = SETS[layout](tmp_path / "mine")
    change(root)
    assert problems(root, settings) == ""
    assert len(load_data_set(root, settings)) in (12, 20)


def test_a_closed_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = made_up.folders(tmp_path / "mine", {"a": 2, "b": 2})
    scandir = os.scandir

    def closed(place: str) -> object:
        if str(place).endswith("/a"):
            raise PermissionError(13, "Permission denied", str(place))
        return scandir(place)

    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(DataSetError, match="images/a: a folder that may not be read"):
        image_files(root / "images")


def test_a_link_to_half_the_machine_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "_MOST_FOLDERS", 5)
    root = made_up.folders(tmp_path / "mine", {"a": 2, "b": 2})
    (root / "images" / "out").symlink_to("/usr")
    with pytest.raises(DataSetError, match="does a link lead out of it"):
        image_files(root / "images")


def test_a_folder_whose_own_name_is_odd_can_be_used(tmp_path: Path, settings: Settings) -> None:
    root = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xffset"))
    made_up.folders(tmp_path / "mine", {"a": 10, "b": 10}).rename(root)
    assert problems(root, settings) == ""
    (root / "dataset.yaml").unlink()
    assert "cannot be printed" in problems(root, settings)


def test_a_changed_memory_of_files_is_not_believed(tmp_path: Path, settings: Settings) -> None:
    root = made_up.masks(tmp_path / "mine", [0, 1, 2] * 4)
    before = load_data_set(root, settings)
    for path in settings.cache_dir.rglob("*.json"):
        path.write_text(path.read_text().replace("40,48", "48,40").replace("80]", "81]"))
    after = load_data_set(root, settings)
    assert (after.sizes == before.sizes).all() and (after.mask_areas == before.mask_areas).all()


@pytest.mark.parametrize("spec", ["~nobody_of_this_name/x", "x" * 5000, "a\0b", "/dev/null", "@@@", "%s{0}"])
def test_odd_specs_are_no_data_sets(settings: Settings, spec: str) -> None:
    with pytest.raises(DataSetError):
        load_data_set(spec, settings)


def test_a_list_survives_what_lies_there(run: Run, tmp_path: Path) -> None:
    made_up.folders(tmp_path / "datasets" / "good", {"a": 3, "b": 3})
    bad = made_up.folders(tmp_path / "datasets" / "b\x1b[31mad", {"a": 3, "b": 3})
    (tmp_path / "datasets" / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "datasets" / "pipe")
    os.rename(bad / "images" / "a", os.fsencode(bad / "images") + b"/\xff")
    assert len(list_data_sets(tmp_path / "datasets")) == 2
    assert "\x1b" not in run("dataset", "list", tmp_path / "datasets").fine("good").out
