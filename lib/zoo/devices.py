"""Where networks run: device, precision, threads, memory, and what a record says about them."""

from __future__ import annotations

import os
import platform
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata

import torch

from lib.errors import ConfigError
from lib.records import Environment

RECORDED_LIBRARIES = ("torch", "timm", "segmentation-models-pytorch", "numpy", "scikit-learn", "catboost")
OUT_OF_MEMORY_SIGNS = (
    "out of memory",
    "defaultcpuallocator",
    "can't allocate memory",
    "cannot allocate memory",
)


def choose_device(name: str = "auto") -> torch.device:
    """The device called `name`; `auto` takes the first of cuda, mps, cpu that is there.

    Raises ConfigError where the named device is unknown or absent.
    """
    if name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if _is_present(kind)))
    try:
        device = torch.device(name)
        problem = "" if device.type in ("cpu", "cuda", "mps") else "not supported"
    except RuntimeError:
        problem = "unknown"
    if problem:
        raise ConfigError(f"device '{name}' is {problem}: expected auto, cpu, cuda, cuda:<n> or mps")
    if not _is_present(device.type, device.index):
        raise ConfigError(f"device '{name}' is not on this machine: use `device: auto` or `device: cpu`")
    return device


def _is_present(kind: str, index: int | None = None) -> bool:
    if kind == "cuda":
        return torch.cuda.is_available() and (index or 0) < torch.cuda.device_count()
    return torch.backends.mps.is_available() if kind == "mps" else True


def has_fast_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware (CPU: AVX512-BF16 or AMX; GPU: Ampere or newer)."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        # torch names these checks as private; where a version lacks one, fp32 is the safe answer.
        checks = (getattr(torch.cpu, f"_is_{name}_supported", bool) for name in ("avx512_bf16", "amx_tile"))
        return any(check() for check in checks)
    return False


def choose_precision(name: str, device: torch.device) -> str:
    """`bf16` or `fp32`; `auto` takes bf16 where the device multiplies it in hardware."""
    if name == "auto":
        return "bf16" if has_fast_bf16(device) else "fp32"
    return name


def dtype_of(precision: str) -> torch.dtype:
    """The torch type of a precision."""
    return torch.bfloat16 if precision == "bf16" else torch.float32


def set_threads(threads: int) -> int:
    """Lets torch use so many threads (0: as many as there are cores it may use); returns the number in use.

    Numbers too small for float32's usual form count as 0 from now on: a processor takes ten times as long over them, and the gradients
    of a head that has learned its images consist of them (backward of a fine-tuned `mlp` took 1.0 to 2.2 s instead of .3).
    """
    torch.set_flush_denormal(True)
    if threads > 0 and threads != torch.get_num_threads():
        torch.set_num_threads(threads)
    return torch.get_num_threads()


def peak_memory_mb(device: torch.device) -> float:
    """Most memory used so far in MB: of the GPU's allocator on cuda, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    # Linux counts kilobytes, macOS bytes.
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def physical_memory_bytes() -> int:
    """Main memory of the machine; 8 GB where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 8 * 10**9


def available_memory_mb() -> float:
    """Main memory that can be had without swapping; where the system does not tell (macOS), half of what there is."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            found = dict(line.split(":", 1) for line in file)
        return int(found["MemAvailable"].split()[0]) / 2**10
    except (OSError, KeyError, ValueError):
        return physical_memory_bytes() / 2**21


def busy_cpu_s() -> float:
    """Processor seconds that all processes of the machine have used, those taken by a hypervisor among them.

    In steps of a hundredth of a second (`man 5 proc_stat`). Where the system does not tell (macOS), those of this process.
    """
    try:
        with open("/proc/stat", encoding="ascii") as file:
            user, nice, system, _idle, _waiting, interrupts, soft_interrupts, stolen = map(
                int, file.readline().split()[1:9]
            )
    except (OSError, ValueError):
        return time.process_time()
    return (user + nice + system + interrupts + soft_interrupts + stolen) / os.sysconf("SC_CLK_TCK")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error says that memory ran out, on a GPU or in the CPU's allocator."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(s in str(error).lower() for s in OUT_OF_MEMORY_SIGNS)


def free_memory(device: torch.device) -> None:
    """Gives cached GPU memory back before a smaller batch is tried."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def device_name(device: torch.device) -> str:
    """The device in words, e.g. `cpu (x86_64)` or `cuda (NVIDIA H200)`."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return f"{device.type} ({platform.machine()})"


def environment(device: torch.device, started_at: str = "") -> Environment:
    """What a run record says about the machine. `started_at`: ISO time."""
    return Environment(
        device=device_name(device),
        threads=torch.get_num_threads(),
        versions={"python": platform.python_version()} | {n: _version_of(n) for n in RECORDED_LIBRARIES},
        project_version=project_version(),
        peak_memory_mb=round(peak_memory_mb(device), 1),
        started_at=started_at,
    )


def project_version() -> str:
    """The version of this project."""
    return _version_of("cv-automl")


def _version_of(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside, torch computes on one core: batches of embeddings are too small to share, and sharing costs ten times more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
