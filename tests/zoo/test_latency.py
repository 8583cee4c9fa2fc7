import numpy as np
import pytest

from lib.zoo import latency as latency_module
from lib.zoo.backbones import open_backbone
from lib.zoo.latency import backbone_latency, image_latency, measure, pair_latency, time_batch


@pytest.fixture
def clock(monkeypatch):
    """A clock that only moves when told: latencies are then exact numbers."""

    class Clock:
        now = 0.0

        def perf_counter(self):
            return self.now

    made_up = Clock()
    monkeypatch.setattr(latency_module, "time", made_up)
    return made_up


def test_median_and_95th_percentile_are_those_of_the_calls(clock):
    durations = iter([9.0, *(i / 1000 for i in range(1, 21))])

    def predict():
        clock.now += next(durations)

    timing = time_batch(predict)
    # The first call warms up. numpy interpolates between 19 and 20 ms.
    assert timing.median_ms == pytest.approx(10.5) and timing.p95_ms == pytest.approx(19.05)


def test_slow_network_is_timed_three_times_only(clock):
    calls = []

    def predict():
        calls.append(1)
        clock.now += 5.0

    assert time_batch(predict).median_ms == pytest.approx(5000)
    assert len(calls) == 1 + 3


def test_batch_sizes_are_1_and_32(clock):
    def predict(size):
        clock.now += size / 1000

    latency = measure(predict)
    assert latency.batch1_median_ms == pytest.approx(1) and latency.batch32_median_ms == pytest.approx(32)


def test_head_adds_to_its_backbone(clock, unpretrained, monkeypatch):
    backbone = open_backbone("test_resnet", unpretrained)
    widths = []

    def forward(images):
        clock.now += len(images) / 100
        return np.zeros((len(images), backbone.info.embedding_width), np.float32)

    def predict(features):
        widths.append(features.shape[1])
        clock.now += len(features) / 1000

    monkeypatch.setattr(backbone, "forward_batch", forward)
    latency = pair_latency(backbone, predict)
    assert latency.batch1_median_ms == pytest.approx(11) and latency.batch32_median_ms == pytest.approx(
        32 * 11
    )
    assert set(widths) == {backbone.info.embedding_width}


def test_backbone_is_timed_once_and_remembered_on_disk(unpretrained, monkeypatch, tmp_path):
    monkeypatch.setattr(latency_module, "BUDGET_S", 0.01)
    backbone = open_backbone("test_resnet", unpretrained)
    first = backbone_latency(backbone, tmp_path)
    monkeypatch.setattr(latency_module, "measure", lambda *a: pytest.fail("timed twice"))
    assert backbone_latency(backbone, tmp_path) == first
    (file,) = (tmp_path / "latency").iterdir()
    file.write_text("{torn")
    with pytest.raises(BaseException, match="timed twice"):
        backbone_latency(backbone, tmp_path)


def test_cache_that_cannot_be_written_does_no_harm(unpretrained, monkeypatch, tmp_path):
    monkeypatch.setattr(latency_module, "BUDGET_S", 0.01)
    (tmp_path / "file").write_text("")
    assert (
        backbone_latency(open_backbone("handcrafted", unpretrained), tmp_path / "file").batch1_median_ms > 0
    )


def test_masks_are_timed_on_images_of_the_recipes_size(clock):
    shapes = set()

    def predict(images):
        shapes.add(images.shape)
        clock.now += 0.001

    image_latency(predict, 16, 48)
    assert shapes == {(1, 16, 48, 3), (32, 16, 48, 3)}
