import pytest

from lib.config import Settings


@pytest.fixture
def unpretrained(tmp_path):
    """Settings that touch only the test's own folder, with random weights."""
    return Settings(cache_dir=tmp_path / "cache", weights="random", device="cpu", precision="fp32")
