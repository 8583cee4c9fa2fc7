"""Files are measured once, and again only when they change."""

from __future__ import annotations

from pathlib import Path

import pytest

from lib.datasets.file_memory import measure_files


def test_only_new_and_changed_files_are_measured(tmp_path: Path) -> None:
    seen: list[str] = []

    def measure(path: Path) -> list[str]:
        seen.append(path.name)
        return [path.read_text()]

    root, cache = tmp_path / "root", tmp_path / "cache"
    root.mkdir()
    for name in ("a", "b"):
        (root / name).write_text(name)
    assert measure_files(root, ["a", "b"], measure, kind="t 1", cache_dir=cache) == [["a"], ["b"]]
    (root / "b").write_text("changed")
    (root / "c").write_text("c")
    assert measure_files(root, ["a", "b", "c"], measure, kind="t 1", cache_dir=cache) == [
        ["a"],
        ["changed"],
        ["c"],
    ]
    assert sorted(seen) == ["a", "b", "b", "c"]
    measure_files(root, ["a"], measure, kind="t 2", cache_dir=cache)
    assert sorted(seen) == ["a", "a", "b", "b", "c"]


def test_what_was_measured_before_an_interruption_is_kept(tmp_path: Path) -> None:
    files = [f"{i:04d}" for i in range(300)]
    for file in files:
        (tmp_path / file).write_text(file)
    seen: list[str] = []

    def measure(path: Path) -> list[str]:
        seen.append(path.name)
        if path.name == "0200" and seen.count("0200") == 1:
            raise KeyboardInterrupt
        return [path.name]

    with pytest.raises(KeyboardInterrupt):
        measure_files(tmp_path, files, measure, kind="t 1", cache_dir=tmp_path / "cache")
    assert len(seen) < 300
    seen_before = len(seen)
    assert measure_files(tmp_path, files, measure, kind="t 1", cache_dir=tmp_path / "cache")[7] == ["0007"]
    assert len(seen) - seen_before <= 300 - 128


def test_without_a_cache_folder_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    assert measure_files(tmp_path, ["a"], lambda path: [1], kind="t 1", cache_dir=None) == [[1]]
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
