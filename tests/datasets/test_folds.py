"""Folds: every image tested once, groups whole, strata even, the same everywhere; views and patches keep their parent's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from lib.config import Settings, SplitSettings
from lib.datasets import DataSet, load_data_set, load_images_only
from lib.datasets.checking import check_data_set
from lib.datasets.declared import read_folds
from lib.datasets.patches import write_patches
from lib.datasets.splits import cross_validation, split_hash
from lib.errors import DataSetError
from tests.datasets import made_up

SPLIT = SplitSettings(folds=5, test_fraction=0.2, validation_fraction=0.16, near_duplicate_bits=4, seed=0)
Folds = tuple[np.ndarray, ...]  # type: ignore[type-arg]


def _names(n: int) -> list[str]:
    return [f"images/{i:05d}.jpg" for i in range(n)]


def _folds(strata: Sequence[int], groups: Sequence[int] | None = None, **changes: float) -> Folds:
    n = len(strata)
    alone = np.arange(n) if groups is None else np.array(groups)
    return cross_validation(_names(n), np.array(strata), alone, SPLIT.model_copy(update=changes))


def _counts(strata: Sequence[int], folds: Folds, part: str) -> np.ndarray:  # type: ignore[type-arg]
    """Images of a part, (n_strata, n_folds)."""
    return np.stack([np.bincount(np.array(strata)[p == part], minlength=max(strata) + 1) for p in folds], 1)


def _tested(folds: Folds) -> list[int]:
    return (np.stack(folds) == "test").sum(axis=0).tolist()


@pytest.mark.parametrize(
    ("counts", "n_folds"),
    [((500, 100, 50), 5), ((7, 2, 1), 5), ((1, 1, 1, 1), 5), ((3,), 5), ((1, 1), 2), ((13, 29, 4), 3)],
)
def test_every_image_is_tested_once_and_strata_and_folds_are_even(
    counts: tuple[int, ...], n_folds: int
) -> None:
    strata = [k for k, n in enumerate(counts) for _ in range(n)]
    folds = _folds(strata, folds=n_folds)
    assert len(folds) == min(n_folds, len(strata)) and set(_tested(folds)) == {1}
    tested = _counts(strata, folds, "test")
    assert np.ptp(tested, axis=1).max() <= 1 and np.ptp(tested.sum(axis=0)) <= 1
    assert all((parts == "train").any() for parts in folds)


def test_validation_has_its_share_of_every_stratum_and_leaves_one_to_train() -> None:
    strata = [0] * 500 + [1] * 100 + [2] * 2
    folds = _folds(strata)
    assert (_counts(strata, folds, "validation")[:2] == [[80], [16]]).all()
    trained, tested = _counts(strata, folds, "train"), _counts(strata, folds, "test")
    assert (trained[tested < [[500], [100], [2]]] > 0).all()
    assert not _counts(strata, _folds(strata, validation_fraction=0), "validation").any()


@pytest.mark.parametrize("seed", range(20))
def test_groups_never_straddle_and_mixed_ones_spread_a_rare_class(seed: int) -> None:
    random = np.random.default_rng(seed)
    groups = random.integers(0, 60, 400)
    strata = (random.random(400) < random.beta(0.3, 0.9, 60)[groups]).astype(int)
    folds = _folds(strata.tolist(), groups.tolist())
    assert all(len(set(parts[groups == g])) == 1 for parts in folds for g in np.unique(groups))
    assert set(_tested(folds)) == {1}
    tested = _counts(strata.tolist(), folds, "test")
    assert (np.ptp(tested, axis=1) <= 6).all()


def test_fewer_groups_than_folds_give_as_many_folds_and_one_group_none() -> None:
    assert len(_folds([0, 1] * 6, [0, 1, 2] * 4)) == 3
    two = _folds([0, 1])
    assert [parts.tolist() for parts in two] in (
        [["test", "train"], ["train", "test"]],
        [["train", "test"], ["test", "train"]],
    )
    for strata, groups in (([0], [0]), ([0, 1, 0], [4, 4, 4])):
        with pytest.raises(DataSetError, match=f"{len(strata)} image.* cannot be divided"):
            _folds(strata, groups)


def test_folds_are_the_same_on_every_machine_and_in_any_order_of_the_files() -> None:
    random = np.random.default_rng(0)
    strata, groups = random.integers(0, 4, 90), random.integers(0, 50, 90)
    files = _names(90)
    folds = cross_validation(files, strata, groups, SPLIT)
    assert split_hash(files, folds) == "eec7bc63faa0d8c7"
    order = random.permutation(90)
    again = cross_validation([files[i] for i in order], strata[order], groups[order] + 7, SPLIT)
    assert all((parts[order] == moved).all() for parts, moved in zip(folds, again, strict=True))


def _straddling(data_set: DataSet, group_of: Callable[[str], str]) -> set[str]:
    """Groups of file names that the own split or a fold tears apart."""
    groups = np.array([group_of(Path(file).stem) for file in data_set.files])
    divisions = (data_set.parts, *data_set.folds)
    return {g for g in groups if any(len(set(parts[groups == g])) > 1 for parts in divisions)}


def test_near_duplicates_share_their_part_in_the_own_split_and_every_fold(
    tmp_path: Path, settings: Settings
) -> None:
    root = made_up.folders(tmp_path / "set", {"a": 12, "b": 12})
    for i in range(12):
        made_up.picture(i).point(lambda v: min(255, v + 3)).save(root / "images" / "a" / f"copy{i:03d}.png")
    for file in (root / "images" / "b").iterdir():
        file.rename(file.with_name(f"b{file.name}"))
    assert _straddling(load_data_set(root, settings), lambda name: name.removeprefix("copy")) == set()


def _card(root: Path, group: str) -> None:
    made_up.card(root, name="set", layout="folders", classes=["a", "b"], group=group)


def test_a_group_shares_its_part_and_one_that_matches_every_file_is_a_sentence(
    tmp_path: Path, settings: Settings
) -> None:
    root = made_up.folders(tmp_path / "set", {"a": 30, "b": 30})
    _card(root, "^(\\d\\d)")
    data_set = load_data_set(root, settings)
    assert _straddling(data_set, lambda name: name[:2]) == set() and len(data_set.folds) == 3
    _card(root, "\\.png")
    with pytest.raises(
        DataSetError, match=r"set: group .* puts all 60 images .* mend `group` in dataset.yaml"
    ):
        load_data_set(root, settings)
    (problem,) = check_data_set(root, settings).problems
    assert "puts all 60 images together" in problem


@pytest.mark.parametrize("view", ["defect", "dominant", "dominant@binary", "train10", "defect@train30"])
def test_views_have_their_parents_folds_and_its_test_parts(
    view: str, tmp_path: Path, settings: Settings
) -> None:
    root = made_up.severstal(tmp_path / "strips", [0, 1, 2, 0, 1, 3] * 8)
    parent, seen = load_data_set(root, settings), load_data_set(f"{root}@{view}", settings)
    assert len(seen.folds) == 5
    for before, after in zip(parent.folds, seen.folds, strict=True):
        thinned = after == "unused"
        assert (after[~thinned] == before[~thinned]).all() and (before[thinned] != "test").all()
        assert thinned.any() == ("train" in view)
    assert seen.class_counts() == seen.info().class_counts and sum(seen.info().class_counts) in (32, 48)
    assert (seen.info().n_images, seen.info().n_test) == (48, 48)


def test_smaller_training_parts_are_subsets_of_larger_ones_in_every_fold(
    tmp_path: Path, settings: Settings
) -> None:
    root = made_up.folders(tmp_path / "set", {"a": 40, "b": 20})
    small, large = (load_data_set(f"{root}@train{n}", settings) for n in (10, 50))
    for few, many in zip(small.folds, large.folds, strict=True):
        assert (many[few == "train"] == "train").all() and (few == "train").sum() < (many == "train").sum()


def test_the_own_split_is_exactly_that_of_splits_csv_and_no_fold_uses_its_unused_files(
    tmp_path: Path, settings: Settings
) -> None:
    root = made_up.folders(tmp_path / "set", {"a": 20, "b": 20})
    files = sorted(p.relative_to(root).as_posix() for p in root.rglob("*.png"))
    parts = ["train", "validation", "test", "train", "unused"] * 8
    lines = "\n".join(f"{file},{part}" for file, part in zip(files, parts, strict=True))
    (root / "splits.csv").write_text(f"file,split\n{lines}\n", encoding="utf-8")
    data_set = load_data_set(root, settings)
    (own,) = data_set.divisions("own")
    assert own.tolist() == parts == data_set.fold("own", 0).parts.tolist()
    info = data_set.info("own")
    assert (info.split, info.n_folds, info.n_train, info.n_validation, info.n_test) == ("own", 1, 16, 8, 8)
    assert info.split_hash == data_set.split_hash != data_set.info().split_hash
    assert all((fold[own == "unused"] == "unused").all() for fold in data_set.folds)
    assert (data_set.info().n_images, data_set.info().n_test) == (32, 32)
    assert (data_set.fold("folds", 3).parts == data_set.folds[3]).all()


def test_images_without_labels_have_their_parts_as_the_only_division(
    tmp_path: Path, settings: Settings
) -> None:
    made_up.picture(1).save(tmp_path / "a.png")
    info = load_images_only(tmp_path, settings).info()
    assert (info.n_folds, info.n_images, info.class_counts) == (1, 1, ())


def _with_folds_csv(root: Path, text: str) -> Path:
    made_up.folders(root, {"a": 4, "b": 4})
    (root / "folds.csv").write_text(text, encoding="utf-8")
    return root


def test_folds_csv_is_kept_whatever_the_settings_say(tmp_path: Path, settings: Settings) -> None:
    numbers = [7, 0, 7, 0, 7, 0, 0, 7]
    names = [f"{k}/{i:03d}.png" for k in "ab" for i in range(4)]
    lines = "\n".join(f"{name};{fold}" for name, fold in zip(names, numbers, strict=True))
    data_set = load_data_set(_with_folds_csv(tmp_path / "set", f"\ufeffFile;Fold\n{lines}\n"), settings)
    assert [(parts == "test").tolist() for parts in data_set.folds] == [
        [n == f for n in numbers] for f in (0, 7)
    ]
    assert [(parts == "validation").sum() for parts in data_set.folds] == [2, 2]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("file,fold\na/000.png,first\n", "folds.csv, line 2: fold 'first'; expected a whole number"),
        ("file,fold\na/000.png,-1\n", "line 2: fold '-1'"),
        ("file,fold\na/000.png,1\na/000.png,2\n", "line 3: a/000.png is in 2 here, in 1 above"),
        ("file,fold\na/000.png,1\n", "7 of 8 images have no line there, the first is images/a/001.png"),
        ("file\n", "the column fold is missing"),
        (
            "file,fold\ngone.png,3\n" + "".join(f"{k}/{i:03d}.png,0\n" for k in "ab" for i in range(4)),
            "one fold only",
        ),
    ],
)
def test_wrong_lines_of_folds_csv_are_named_when_loaded_and_when_checked(
    text: str, says: str, tmp_path: Path, settings: Settings
) -> None:
    root = _with_folds_csv(tmp_path / "set", text)
    with pytest.raises(DataSetError, match=says):
        load_data_set(root, settings)
    assert any(says in problem for problem in check_data_set(root, settings).problems)


def test_a_set_without_folds_csv_declares_none(tmp_path: Path) -> None:
    assert read_folds(tmp_path, ["a"]) is None


def test_real_patches_have_their_images_folds(
    realdata: Path, tmp_path: Path, settings: Settings, real_cache: Path
) -> None:
    settings = settings.model_copy(update={"cache_dir": real_cache})
    strips = load_data_set(realdata / "severstal_subset", settings)
    write_patches(strips, tmp_path / "cut", size_px=64)
    patches = load_data_set(tmp_path / "cut", settings)
    source = dict(
        line.split(",")[:4:3] for line in (tmp_path / "cut" / "provenance.csv").read_text().splitlines()[1:]
    )
    position = {file: i for i, file in enumerate(strips.files)}
    origin = np.array([position[source[file]] for file in patches.files])
    for cut, whole in zip(patches.folds, strips.folds, strict=True):
        assert ((cut == "test") == (whole[origin] == "test")).all()
        assert all(len(set(cut[origin == i])) == 1 for i in np.unique(origin))
