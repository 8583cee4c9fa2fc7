import os

import numpy as np
import pytest

from lib.features.cache import FeatureCache


@pytest.fixture
def cache(tmp_path):
    return FeatureCache(tmp_path / "cache", size_limit_gb=1)


def filled(kilobytes=10, value=1.0):
    return np.full((kilobytes, 250), value, np.float32)


def test_what_was_written_is_read_back_with_its_facts(cache):
    assert cache.read("a", "b") is None
    assert cache.write(filled(value=3), {"seconds": "1.5"}, "a", "b") is None
    values, facts = cache.read("a", "b")
    np.testing.assert_array_equal(values, filled(value=3))
    assert facts == {"seconds": "1.5"}
    assert cache.read("ab", "") is None, "parts of a key do not run into each other"


@pytest.mark.parametrize("damage", [b"", b"garbage", "cut"])
def test_broken_file_counts_as_missing_and_is_removed(cache, damage):
    cache.write(filled(), {}, "key")
    path = cache.path_of("key")
    path.write_bytes(path.read_bytes()[:-100] if damage == "cut" else damage)
    assert cache.read("key") is None
    assert not path.exists()


def test_least_recently_used_go_first(tmp_path):
    cache = FeatureCache(tmp_path, size_limit_gb=35e3 / 1e9)
    for age, key in enumerate(["first", "second", "third"]):
        cache.write(filled(), {}, key)
        os.utime(cache.path_of(key), (1000 + age, 1000 + age))
    assert cache.read("first") is not None  # reading is use
    cache.write(filled(), {}, "fourth")
    assert cache.read("second") is None
    assert all(cache.read(key) is not None for key in ("first", "third", "fourth"))


def test_features_larger_than_the_limit_are_kept_alone(tmp_path):
    cache = FeatureCache(tmp_path, size_limit_gb=5e3 / 1e9)
    cache.write(filled(), {}, "old")
    cache.write(filled(20), {}, "new")
    assert cache.read("old") is None and cache.read("new") is not None


def test_folder_that_cannot_be_written_is_told_and_nothing_breaks(tmp_path):
    (tmp_path / "file").write_text("")
    cache = FeatureCache(tmp_path / "file" / "cache", size_limit_gb=1)
    assert "not kept" in cache.write(filled(), {}, "key")
    assert cache.read("key") is None


def test_interrupted_write_leaves_no_file_behind(cache, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        cache.write(filled(), {}, "key")
    assert list(cache.folder.iterdir()) == []
