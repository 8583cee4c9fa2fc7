from dataclasses import dataclass, field

import numpy as np
import pytest

from lib.records import Latency
from lib.zoo import latency as latency_module
from lib.zoo.backbones import open_backbone
from lib.zoo.base import InputSpec
from lib.zoo.latency import backbone_latency, image_latency, measure, pair_latency, time_batch
from tests.zoo.made_up import made_up_backbone_info


class Machine:
    """A clock that only moves when told, and what other processes take of two cores meanwhile."""

    def __init__(self):
        self.now, self.others = 0.0, 0.0

    def spend(self, seconds, others=0.0):
        self.now += seconds
        self.others += others * 2 * seconds

    def perf_counter(self):
        return self.now

    process_time = perf_counter


@pytest.fixture
def machine(monkeypatch):
    """Latencies are exact numbers on it."""
    made_up = Machine()
    monkeypatch.setattr(latency_module, "time", made_up)
    monkeypatch.setattr(latency_module, "busy_cpu_s", lambda: made_up.now + made_up.others)
    monkeypatch.setattr(latency_module.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(latency_module, "_missed_at", {})
    return made_up


def loaded(machine, seconds, factors, others=0.0):
    """A call of `seconds` on a machine whose load slows the calls by `factors` in turn, the last one for ever."""
    left = list(factors)

    def predict(*arguments):
        factor = left.pop(0) if len(left) > 1 else left[0]
        machine.spend(seconds * factor, others)

    return predict


def test_median_and_95th_percentile_are_those_of_three_rounds(machine):
    # The first call warms up; ten calls of 9 to 10.8 ms fill each round of 0.1 s.
    durations = [1.0, *([0.9, 1.08] * 5 + [0.1]) * 3]
    assert time_batch(loaded(machine, 0.01, durations)) == pytest.approx((9.0, 10.8))


def test_slow_network_is_timed_three_times_only(machine):
    predict = loaded(machine, 5.0, [1])
    assert time_batch(predict)[0] == pytest.approx(5000)
    assert machine.now == pytest.approx(5.0 * (1 + 3))


def test_load_that_passes_leaves_no_trace_in_the_time(machine):
    times = [1.0, 1.6, 1.9, 1.3, 2.5, 1.6, 1.04, 1.0, 1.02]
    assert time_batch(loaded(machine, 0.2, times))[0] == pytest.approx(200)


def test_times_that_never_agree_are_none(machine):
    growing = [1.2**k for k in range(60)]
    assert time_batch(loaded(machine, 0.2, growing)) is None
    assert machine.now < 30


def test_steady_load_of_others_is_no_quiet_machine(machine):
    assert time_batch(loaded(machine, 0.2, [1.5], others=0.5)) is None
    assert time_batch(loaded(machine, 0.2, [1.0], others=0.05))[0] == pytest.approx(200)


def test_batch_sizes_are_1_and_32(machine):
    latency = measure(lambda size: machine.spend(size / 1000))
    assert latency.batch1_median_ms == pytest.approx(1) and latency.batch32_median_ms == pytest.approx(32)


@dataclass
class Timed:
    """A backbone that takes 10 ms an image, times what the machine's load makes of it."""

    machine: Machine
    factors: list = field(default_factory=lambda: [1.0])
    others: float = 0.0
    shape: str = "vit tiny"
    precision: str = "fp32"
    device_name: str = "cpu"
    calls: int = 0

    def __post_init__(self):
        self.input = InputSpec(4, 4, (0, 0, 0), (1, 1, 1), "bilinear", 1)
        self.info = made_up_backbone_info(width=7)

    def forward_batch(self, images):
        self.calls += 1
        factor = self.factors[min(self.calls, len(self.factors)) - 1]
        self.machine.spend(len(images) / 100 * factor, self.others)


def test_networks_of_one_shape_agree_whatever_the_load_was(machine):
    alone = backbone_latency(Timed(machine))
    under_load = backbone_latency(Timed(machine, [1.0, *np.linspace(2.0, 1.1, 6), 1.04, 1.05, 1.02]))
    for name in Latency.model_fields:
        assert getattr(under_load, name) == pytest.approx(getattr(alone, name), rel=0.2)


def test_networks_of_one_shape_are_timed_once_on_one_machine(machine, tmp_path):
    first = backbone_latency(Timed(machine), tmp_path)
    twin = Timed(machine, [3.0])
    assert backbone_latency(twin, tmp_path) == first and twin.calls == 0
    for other in (
        Timed(machine, shape="resnet"),
        Timed(machine, precision="bf16"),
        Timed(machine, device_name="h"),
    ):
        backbone_latency(other, tmp_path)
        assert other.calls > 0
    for file in (tmp_path / "latency").iterdir():
        file.write_text("{torn")
    backbone_latency(twin, tmp_path)
    assert twin.calls > 0


def test_what_was_timed_under_load_is_not_kept_but_tried_again(machine, tmp_path):
    busy, later = Timed(machine, others=0.9), Timed(machine)
    assert backbone_latency(busy, tmp_path) is None
    assert backbone_latency(later, tmp_path) is None and later.calls == 0, "not at once"
    machine.spend(latency_module.RETRY_AFTER_S)
    assert backbone_latency(later, tmp_path).batch1_median_ms == pytest.approx(10)


def test_head_adds_to_its_backbone(machine):
    widths = []

    def predict(features):
        widths.append(features.shape[1])
        machine.spend(len(features) / 1000)

    latency = pair_latency(Timed(machine), predict)
    assert latency.batch1_median_ms == pytest.approx(11)
    assert latency.batch32_median_ms == pytest.approx(32 * 11)
    assert set(widths) == {7}
    assert pair_latency(Timed(machine), loaded(machine, 0.01, [1.0], others=0.9)) is None


def test_pretrained_twins_have_one_shape(unpretrained):
    shapes = {
        name: open_backbone(name, unpretrained).shape
        for name in ("vit_tiny_patch16_224", "deit_tiny_patch16_224", "resnet18")
    }
    assert shapes["vit_tiny_patch16_224"] == shapes["deit_tiny_patch16_224"] != shapes["resnet18"]


def test_cache_that_cannot_be_written_does_no_harm(machine, tmp_path):
    (tmp_path / "file").write_text("")
    assert backbone_latency(Timed(machine), tmp_path / "file").batch1_median_ms > 0


def test_masks_are_timed_on_images_of_the_recipes_size(machine):
    shapes = set()

    def predict(images):
        shapes.add(images.shape)
        machine.spend(0.001)

    image_latency(predict, 16, 48)
    assert shapes == {(1, 16, 48, 3), (32, 16, 48, 3)}
