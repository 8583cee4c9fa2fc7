"""What is measured once on every image of a set: a digest of its bytes, a perceptual hash, its size."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lib.datasets.file_memory import measure_files
from lib.datasets.images import read_reduced, read_size
from lib.datasets.perceptual import perceptual_hash
from lib.files import short_hash

_HASHED_AREA_PX = 64 * 64


@dataclass(frozen=True)
class Pictures:
    """What was measured on the images: `digests` of the bytes, pHash `hashes` uint64 (n,), `sizes` int (n, 2) height, width."""

    files: tuple[str, ...]
    digests: tuple[str, ...]
    hashes: npt.NDArray[np.uint64]
    sizes: npt.NDArray[np.int64]

    @property
    def fingerprint(self) -> str:
        """Hash of the images' bytes in the order of the files."""
        return short_hash("\n".join(self.digests))


def measure_pictures(root: Path, files: Sequence[str], cache_dir: Path | None) -> Pictures:
    """Digest, perceptual hash and size of each image, remembered below `cache_dir`; raises DataSetError."""
    measured = measure_files(root, files, measure_picture, kind="images 2", cache_dir=cache_dir)
    return pictures_of(files, measured)


def pictures_of(files: Sequence[str], measured: Sequence[Sequence[Any]]) -> Pictures:
    """Pictures from the values that `measure_picture` gave for each file."""
    return Pictures(
        files=tuple(files),
        digests=tuple(str(values[0]) for values in measured),
        hashes=np.array([int(values[1], 16) for values in measured], dtype=np.uint64),
        sizes=np.array([values[2:4] for values in measured], dtype=np.int64).reshape(-1, 2),
    )


def measure_picture(path: Path) -> list[Any]:
    """[SHA-256 of the bytes, pHash in hex, height, width] of an image file; raises DataSetError."""
    picture = read_reduced(path, _HASHED_AREA_PX)
    height, width = read_size(path)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return [digest, f"{perceptual_hash(picture):016x}", height, width]
