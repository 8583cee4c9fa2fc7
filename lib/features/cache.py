"""Features on disk, computed once: safetensors files, written whole or not at all, the least recently used go first."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from lib.files import write_atomically

Arrays = dict[str, npt.NDArray[np.generic]]


@dataclass(frozen=True)
class CachedFeatures:
    """Arrays by name, and the text that was kept beside them."""

    arrays: Arrays
    facts: dict[str, str]


@dataclass(frozen=True)
class FeatureCache:
    """A folder of `<key>.safetensors` that never grows beyond `size_limit_gb`."""

    folder: Path
    size_limit_gb: float

    def path_of(self, *key: str) -> Path:
        """The file of a key: its parts' hash, so that any text may be a part."""
        digest = hashlib.sha256("\0".join(key).encode()).hexdigest()[:32]
        return self.folder / f"{digest}.safetensors"

    def read(self, *key: str) -> CachedFeatures | None:
        """What is kept under the key; None where there is nothing, or nothing whole (a broken file is removed)."""
        path = self.path_of(*key)
        if not path.is_file():
            return None
        try:
            with safe_open(path, framework="numpy") as file:
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no iterator)
                facts = dict(file.metadata() or {})
            os.utime(path)
        except (SafetensorError, OSError, ValueError):
            _remove(path)
            return None
        return CachedFeatures(arrays, facts)

    def write(self, arrays: Arrays, facts: dict[str, str], *key: str) -> str | None:
        """Keeps the arrays and makes room for them; returns why they could not be kept, None where they were."""
        try:
            write_atomically(self.path_of(*key), save(_contiguous(arrays), metadata=facts), flush=False)
            self._make_room()
        except OSError as error:
            return f"features not kept in {self.folder}: {error.strerror or error}"
        return None

    def _make_room(self) -> None:
        kept = sorted(self.folder.glob("*.safetensors"), key=_last_use)
        room = self.size_limit_gb * 1e9 - sum(_size(path) for path in kept)
        # The newest stays even when it is larger than the limit: it was asked for a moment ago.
        for path in kept[:-1]:
            if room >= 0:
                return
            room += _size(path)
            _remove(path)


def _contiguous(arrays: Arrays) -> Arrays:
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def _last_use(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _remove(path: Path) -> None:
    # Another process may have been quicker, or the folder may be read-only: either way there is nothing to do here.
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return
