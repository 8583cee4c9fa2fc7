"""Print the versions of poetry.lock as pip requirements, e.g. without CUDA. Uses the standard library alone."""

import argparse
import tomllib
from pathlib import Path

LOCK = Path(__file__).resolve().parent.parent / "poetry.lock"
CUDA_PREFIXES = ("nvidia-", "cuda-", "triton")
TORCH = ("torch", "torchvision")


def requirement(package: dict) -> str:
    """One line for pip; a marker in the lock becomes a pip marker."""
    markers = package.get("markers", "")
    marker = (
        markers
        if isinstance(markers, str)
        else " or ".join(f"({m})" for m in dict.fromkeys(markers.values()))
    )
    return f"{package['name']}=={package['version']}" + (f" ; {marker}" if marker else "")


def main() -> None:
    """Prints the chosen requirements, one a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", help="only this package (repeatable)")
    parser.add_argument(
        "--without-cuda", action="store_true", help="leave out torch, torchvision and CUDA packages"
    )
    options = parser.parse_args()
    packages = tomllib.loads(LOCK.read_text(encoding="utf-8"))["package"]
    for package in packages:
        name = package["name"]
        cuda = name in TORCH or name.startswith(CUDA_PREFIXES)
        if (options.only and name not in options.only) or (options.without_cuda and cuda):
            continue
        print(requirement(package))


if __name__ == "__main__":
    main()
