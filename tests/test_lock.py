"""The lock: one version of each package for one machine, and no host of a package index."""

import tomllib
from collections import Counter
from pathlib import Path

import pytest
from packaging.markers import Marker, default_environment

LOCK = Path(__file__).resolve().parent.parent / "poetry.lock"


def _applies(package: dict[str, object], environment: dict[str, str]) -> bool:
    markers = package.get("markers")
    return not isinstance(markers, str) or Marker(markers).evaluate({**default_environment(), **environment})


@pytest.mark.parametrize(
    ("sys_platform", "platform_system", "machine"),
    [
        ("linux", "Linux", "x86_64"),
        ("linux", "Linux", "aarch64"),
        ("darwin", "Darwin", "arm64"),
        ("win32", "Windows", "AMD64"),
    ],
)
def test_no_machine_gets_two_versions_of_one_package(
    sys_platform: str, platform_system: str, machine: str
) -> None:
    environment = {
        "sys_platform": sys_platform,
        "platform_system": platform_system,
        "platform_machine": machine,
    }
    packages = tomllib.loads(LOCK.read_text(encoding="utf-8"))["package"]
    count = Counter(package["name"] for package in packages if _applies(package, environment))
    assert [name for name, times in count.items() if times > 1] == []


def test_the_lock_names_no_package_index() -> None:
    assert "[package.source]" not in LOCK.read_text(encoding="utf-8")
