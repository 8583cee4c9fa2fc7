"""Features on disk, computed once: safetensors files, written whole or not at all, the least recently used go first."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from lib.files import write_atomically

NAME = "embeddings"


@dataclass(frozen=True)
class FeatureCache:
    """A folder of `<key>.safetensors` that never grows beyond `size_limit_gb`."""

    folder: Path
    size_limit_gb: float

    def path_of(self, *key: str) -> Path:
        """The file of a key: its parts' hash, so that any text may be a part."""
        digest = hashlib.sha256("\0".join(key).encode()).hexdigest()[:32]
        return self.folder / f"{digest}.safetensors"

    def read(self, *key: str) -> tuple[npt.NDArray[np.float32], dict[str, str]] | None:
        """The features under the key with the text kept beside them; None where nothing whole is (a broken file is removed)."""
        path = self.path_of(*key)
        if not path.is_file():
            return None
        try:
            with safe_open(path, framework="numpy") as file:
                kept = file.get_tensor(NAME), dict(file.metadata() or {})
            os.utime(path)
            return kept
        except (SafetensorError, OSError, ValueError):
            _remove(path)
            return None

    def write(self, values: npt.NDArray[np.float32], facts: dict[str, str], *key: str) -> str | None:
        """Keeps the features and makes room for them; returns why they could not be kept, None where they were."""
        return self.write_all({key: values}, facts)

    def write_all(self, values: Mapping[Any, npt.NDArray[np.floating]], facts: dict[str, str]) -> str | None:
        """`write` of many at once, by their keys (tuples of text), which makes room for them once."""
        try:
            for key, one in values.items():
                content = save({NAME: np.ascontiguousarray(one)}, metadata=facts)
                write_atomically(self.path_of(*key), content, flush=False)
            self._make_room()
        except OSError as error:
            return f"features not kept in {self.folder}: {error.strerror or error}"
        return None

    def _make_room(self) -> None:
        kept = []
        for path in self.folder.glob("*.safetensors"):
            with suppress(FileNotFoundError):  # another process was quicker
                state = path.stat()
                kept.append((state.st_mtime, state.st_size, path))
        room = self.size_limit_gb * 1e9 - sum(size for _, size, _ in kept)
        # The newest stays even when it is larger than the limit: it was asked for a moment ago.
        for _, size, path in sorted(kept)[:-1]:
            if room >= 0:
                return
            room += size
            _remove(path)


def _remove(path: Path) -> None:
    # Another process may have been quicker, or the folder may be read-only: either way there is nothing to do here.
    with suppress(OSError):
        path.unlink(missing_ok=True)
