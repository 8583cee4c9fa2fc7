from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from lib.config import Settings
from lib.datasets.base import Card, DataSet
from lib.errors import DataSetError
from lib.features.embeddings import embeddings_of
from lib.records import BackboneInfo


@dataclass
class Extracted:
    values: np.ndarray
    notes: tuple = ("batch of the backbone halved to 2: out of memory",)


@dataclass
class CountingBackbone:
    """Embeds an image as its mean colour, and counts how many images it has seen."""

    cache_key: str = "mean colour"
    threads: int = 1
    seen: int = 0
    info: BackboneInfo = field(
        default_factory=lambda: BackboneInfo(
            name="mean",
            family="made_up",
            parameters=0,
            embedding_width=3,
            input_size_px=8,
            flops=0,
            pretraining_data="none",
            pretraining_method="none",
            weights_origin="none",
            weights_hash="0",
        )
    )

    def extract(self, images, on_progress=None):
        rows = []
        for read in images:
            rows.append(read().mean((0, 1)))
            self.seen += 1
            if on_progress:
                on_progress(len(rows))
        return Extracted(np.array(rows, np.float32))


class MadeUpSet(DataSet):
    def read_image(self, index):
        if self.files[index] == "broken.jpg":
            raise DataSetError("broken.jpg: cannot be read")
        return np.full((4, 4, 3), sum(map(ord, self.files[index])) % 256, np.uint8)


def made_up(files=("a.jpg", "b.jpg", "c.jpg"), **values):
    card = Card(name="made_up", task="classification", layout="folders", classes=("x",))
    facts = dict(
        name="made_up", card=card, root=Path("nowhere"), task="classification", classes=("x",), files=files,
        parts=np.array(["train"] * len(files)), fingerprint="f", images_fingerprint="i",
    )  # fmt: skip
    return MadeUpSet(**facts | values)


@pytest.fixture
def settings(tmp_path):
    return Settings(cache_dir=tmp_path / "cache")


def test_second_time_comes_from_the_cache_with_what_it_cost(settings):
    backbone, calls = CountingBackbone(), []
    data_set = made_up(parts=np.array(["train", "test", "unused"]))
    first = embeddings_of(data_set, backbone, settings, lambda done, total: calls.append((done, total)))
    second = embeddings_of(data_set, backbone, settings)
    assert (first.from_cache, second.from_cache, backbone.seen) == (False, True, 3)
    assert calls == [(1, 3), (2, 3), (3, 3)]
    np.testing.assert_array_equal(first.values, second.values)
    assert second.seconds == pytest.approx(first.seconds, abs=1e-3)
    assert first.n_images == second.n_images == 3, "unused files cost time as well"
    assert first.notes and not second.notes


def test_views_with_other_labels_and_splits_share_the_features(settings):
    backbone = CountingBackbone()
    embeddings_of(made_up(), backbone, settings)
    view = made_up(name="made_up@train10", fingerprint="g", labels=np.array([0, 0, 0]))
    assert embeddings_of(view, backbone, settings).from_cache


@pytest.mark.parametrize(
    "other",
    [
        made_up(images_fingerprint="j"),
        made_up(files=("b.jpg", "a.jpg", "c.jpg")),
        made_up(files=("a.jpg", "b.jpg")),
    ],
)
def test_other_images_or_another_order_are_computed_anew(settings, other):
    backbone = CountingBackbone()
    embeddings_of(made_up(), backbone, settings)
    result = embeddings_of(other, backbone, settings)
    assert not result.from_cache
    np.testing.assert_array_equal(result.values[0], np.full(3, sum(map(ord, other.files[0])) % 256))


def test_another_transform_or_precision_is_computed_anew(settings):
    embeddings_of(made_up(), CountingBackbone(), settings)
    assert not embeddings_of(made_up(), replace(CountingBackbone(), cache_key="bf16"), settings).from_cache


def test_broken_cache_file_is_computed_anew(settings):
    backbone = CountingBackbone()
    expected = embeddings_of(made_up(), backbone, settings).values
    (file,) = (settings.cache_dir / "embeddings").glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-5])
    again = embeddings_of(made_up(), backbone, settings)
    assert not again.from_cache
    np.testing.assert_array_equal(again.values, expected)
    assert embeddings_of(made_up(), backbone, settings).from_cache


def test_unreadable_image_is_named_and_nothing_is_cached(settings):
    with pytest.raises(DataSetError, match=r"broken\.jpg"):
        embeddings_of(made_up(files=("a.jpg", "broken.jpg")), CountingBackbone(), settings)
    assert not list(settings.cache_dir.rglob("*.safetensors"))


def test_cache_that_cannot_be_written_costs_a_note_only(settings, tmp_path):
    (tmp_path / "file").write_text("")
    result = embeddings_of(made_up(), CountingBackbone(), settings.override(cache_dir=tmp_path / "file"))
    assert any("not kept" in note for note in result.notes) and len(result.values) == 3
