"""The tiny data set of sweeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmark.made_up_sweep import write_tiny_set
from tests.conftest import make_latency_quick


@pytest.fixture
def tiny_set(tmp_path: Path) -> Path:
    """A folder of 36 small images in three classes."""
    return write_tiny_set(tmp_path / "datasets" / "tiny")


@pytest.fixture(autouse=True)
def quick_latency(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three calls on any machine are enough to see that latency is recorded."""
    make_latency_quick(monkeypatch)
