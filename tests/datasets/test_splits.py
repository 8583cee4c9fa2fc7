"""Splits: seeded, stratified, near-duplicates together, nothing empty."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lib.config import SplitSettings
from lib.datasets.declared import read_split
from lib.datasets.splits import assign_parts, split_hash
from lib.errors import DataSetError

SPLIT = SplitSettings(folds=5, test_fraction=0.2, validation_fraction=0.16, near_duplicate_bits=4, seed=0)


def _names(n: int) -> list[str]:
    return [f"images/{i:05d}.jpg" for i in range(n)]


def _assign(
    strata: list[int], groups: list[int] | None = None, declared: list[str] | None = None
) -> np.ndarray:
    n = len(strata)
    return assign_parts(
        _names(n),
        np.array(strata),
        np.arange(n) if groups is None else np.array(groups),
        SPLIT,
        None if declared is None else np.array(declared),
    )


def test_every_class_is_divided_in_the_same_proportion() -> None:
    strata = [0] * 500 + [1] * 100 + [2] * 50
    parts = _assign(strata)
    for k, n in ((0, 500), (1, 100), (2, 50)):
        mine = parts[np.array(strata) == k]
        assert (mine == "test").sum() == 0.2 * n
        assert (mine == "validation").sum() == 0.16 * n


@pytest.mark.parametrize("counts", [(2,), (3,), (1, 1), (1, 5), (40, 1), (7, 2, 1), (1, 1, 1, 1)])
def test_train_and_test_are_never_empty_and_rare_classes_are_trained_on(counts: tuple[int, ...]) -> None:
    strata = [k for k, n in enumerate(counts) for _ in range(n)]
    parts = _assign(strata)
    assert (parts == "test").any()
    missing = [k for k in set(strata) if not (parts[np.array(strata) == k] == "train").any()]
    if len(strata) > len(counts):
        assert missing == []
    else:
        assert len(missing) < len(counts)


def test_groups_never_straddle_parts() -> None:
    random = np.random.default_rng(0)
    groups = random.integers(0, 60, 400)
    parts = _assign((groups % 3).tolist(), groups.tolist())
    assert all(len(set(parts[groups == g])) == 1 for g in np.unique(groups))
    assert 0.12 < (parts == "test").mean() < 0.28


def test_a_single_image_cannot_be_split() -> None:
    with pytest.raises(DataSetError, match="too few"):
        _assign([0])


def test_the_split_is_the_same_on_every_machine() -> None:
    parts = _assign([i % 3 for i in range(60)])
    assert split_hash(_names(60), [parts]) == "a1a6b7cac1087d8a"


def test_the_split_hash_does_not_depend_on_the_order_of_the_files() -> None:
    files, parts = _names(5), np.array(["train", "test", "train", "test", "train"])
    assert split_hash(files, [parts]) == split_hash(files[::-1], [parts[::-1]])


def test_a_declared_split_is_kept_and_validation_carved_from_train() -> None:
    declared = ["train"] * 80 + ["test"] * 20
    parts = _assign([i % 2 for i in range(100)], declared=declared)
    assert (parts[80:] == "test").all() and (parts[:80] == "validation").sum() == 16


def test_trainval_gives_validation_and_train_stays_train() -> None:
    parts = _assign([0] * 100, declared=["train"] * 30 + ["trainval"] * 50 + ["test"] * 20)
    assert (parts[:30] == "train").all() and (parts[30:80] == "validation").sum() == 10


def test_without_a_declared_test_part_one_is_carved() -> None:
    parts = _assign([0] * 100, declared=["train"] * 80 + ["val"] * 0 + ["validation"] * 20)
    assert (parts == "test").sum() == 16 and (parts[80:] == "validation").all()


def test_a_declared_split_without_train_is_refused() -> None:
    with pytest.raises(DataSetError, match="train part is empty"):
        _assign([0] * 4, declared=["test"] * 4)


def test_splits_csv_may_have_a_mark_semicolons_and_capitals(tmp_path: Path) -> None:
    (tmp_path / "splits.csv").write_text(
        "\ufeffFile;Split\nimages/a.jpg;TRAIN\nimages\\b.jpg;Val\n", encoding="utf-8"
    )
    declared = read_split(tmp_path, ["images/a.jpg", "images/b.jpg"])
    assert (
        declared is not None and declared.values.tolist() == ["train", "validation"] and not declared.errors
    )


def test_splits_csv_may_leave_out_the_first_folder(tmp_path: Path) -> None:
    (tmp_path / "splits.csv").write_text("file,split\na.jpg,train\nb.jpg,test\n", encoding="utf-8")
    declared = read_split(tmp_path, ["train_images/a.jpg", "train_images/b.jpg"])
    assert declared is not None and declared.values.tolist() == ["train", "test"]
    assert not declared.errors and not declared.flaws


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("file,split\na,holdout\n", "line 2: split 'holdout'"),
        ("file,split\na,train\na,test\n", "line 3: a is in test here, in train above"),
        ("file,split\n", "1 of 1 images have no line"),
    ],
)
def test_wrong_lines_of_splits_csv_are_named(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "splits.csv").write_text(text, encoding="utf-8")
    declared = read_split(tmp_path, ["a"])
    assert declared is not None and says in declared.errors[0]


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    (tmp_path / "splits.csv").write_text("name,split\na,train\n", encoding="utf-8")
    with pytest.raises(DataSetError, match="column file is missing"):
        read_split(tmp_path, ["a"])
