import pytest
import torch

from lib.errors import ConfigError
from lib.zoo import devices


def test_auto_takes_a_device_that_works():
    device = devices.choose_device("auto")
    assert torch.ones(2, device=device).sum().item() == 2


@pytest.mark.parametrize(
    ("name", "word"), [("tpu", "unknown"), ("cuda:99", "not on this machine"), ("meta", "not supported")]
)
def test_absent_device_is_refused_in_one_sentence(name, word):
    with pytest.raises(ConfigError, match=word):
        devices.choose_device(name)


def test_auto_prefers_cuda_over_mps_over_cpu(monkeypatch):
    present = {"cuda", "mps", "cpu"}
    monkeypatch.setattr(devices, "_is_present", lambda kind, index=None: kind in present)
    assert devices.choose_device("auto").type == "cuda"
    present.remove("cuda")
    assert devices.choose_device("auto").type == "mps"
    present.remove("mps")
    assert devices.choose_device("auto").type == "cpu"


@pytest.mark.parametrize(("has_bf16", "expected"), [(True, "bf16"), (False, "fp32")])
def test_auto_precision_follows_the_hardware(monkeypatch, has_bf16, expected):
    monkeypatch.setattr(devices, "has_fast_bf16", lambda device: has_bf16)
    assert devices.choose_precision("auto", torch.device("cpu")) == expected
    assert devices.choose_precision("fp32", torch.device("cpu")) == "fp32"
    assert devices.choose_precision("bf16", torch.device("cpu")) == "bf16"


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory: you tried"
        ),
        MemoryError(),
    ],
)
def test_every_kind_of_memory_shortage_is_recognised(error):
    assert devices.is_out_of_memory(error)


def test_other_errors_are_not_taken_for_memory_shortage():
    assert not devices.is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not devices.is_out_of_memory(ValueError("out of memory"))


def test_real_cpu_allocation_failure_is_recognised():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert devices.is_out_of_memory(caught.value)


def test_environment_names_device_threads_and_versions():
    environment = devices.environment(torch.device("cpu"), "2026-01-01T00:00:00")
    assert environment.device.startswith("cpu")
    assert environment.threads == torch.get_num_threads()
    assert (
        environment.versions["torch"] == torch.__version__.split("+")[0]
        or "+" in environment.versions["torch"]
    )
    assert environment.peak_memory_mb > 10
    assert environment.started_at == "2026-01-01T00:00:00"


def test_numbers_too_small_for_the_usual_form_count_as_nothing():
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot")
    torch.set_flush_denormal(False)
    smallest = torch.tensor(1e-38)
    assert smallest / 8 > 0
    devices.set_threads(0)
    assert smallest / 8 == 0
