"""What was once measured on a file is remembered by its path, size and time of change, so that it is read only once."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from lib.files import short_hash, write_atomically

_SHOW_PROGRESS_FROM = 400
_BLOCK = 128


def measure_files(
    root: Path,
    files: Sequence[str],
    measure: Callable[[Path], list[Any]],
    *,
    kind: str,
    cache_dir: Path | None,
) -> list[list[Any]]:
    """`measure(root / file)` for each file, from the cache where the file has not changed since. `measure` returns plain JSON
    values; `kind` names it with its version. A cache that is broken, changed by other hands or cannot be written is as
    good as none, and so is `cache_dir` None. Errors of `measure` pass through; what was measured before one, or before Ctrl-C, is kept."""
    resolved = root.resolve()
    digest = hashlib.sha256(f"{kind}:".encode() + os.fsencode(resolved)).hexdigest()[:24]
    cache = cache_dir / "files" / f"{digest}.json" if cache_dir else None
    known = _read(cache) if cache else {}
    stamps = {file: _stamp(os.path.join(resolved, file)) for file in files}
    missing = [
        file for file in files if file not in known or known[file][0] != _seal(stamps[file], known[file][1])
    ]
    if missing:
        known = {file: known[file] for file in files if file in known}
        try:
            for file, value in _measured(resolved, missing, measure, kind):
                known[file] = [_seal(stamps[file], value), value]
        finally:
            if cache:
                with suppress(OSError):
                    write_atomically(cache, json.dumps(known, separators=(",", ":")))
    return [known[file][1] for file in files]


def _stamp(path: str) -> str:
    with suppress(OSError):
        status = os.stat(path)
        return f"{status.st_size}:{status.st_mtime_ns}"
    return "missing"


def _seal(stamp: str, value: Any) -> str:
    """The state of a file with a hash of what was measured on it then."""
    return f"{stamp}:{short_hash(json.dumps(value))}"


def _measured(
    root: Path, files: list[str], measure: Callable[[Path], list[Any]], kind: str
) -> Iterator[tuple[str, list[Any]]]:
    """Each file with its values, some threads at a time; Ctrl-C waits for one block of files only."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    hidden = len(files) < _SHOW_PROGRESS_FROM or not console.is_terminal
    with (
        Progress(console=console, transient=True, disable=hidden) as progress,
        ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool,
    ):
        bar = progress.add_task(f"reading {kind.split()[0]}", total=len(files))
        for start in range(0, len(files), _BLOCK):
            block = files[start : start + _BLOCK]
            yield from zip(block, pool.map(measure, [root / file for file in block]), strict=True)
            progress.advance(bar, len(block))


def _read(cache: Path) -> dict[str, list[Any]]:
    try:
        entries = json.loads(cache.read_text(encoding="utf-8"))
        return {f: entry for f, entry in entries.items() if isinstance(entry, list) and len(entry) == 2}
    except (OSError, ValueError, AttributeError, RecursionError):
        return {}
