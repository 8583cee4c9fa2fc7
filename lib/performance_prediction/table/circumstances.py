"""Where and when numbers were measured: what every report of a comparison says of its origin."""

from __future__ import annotations

import platform
import subprocess
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lib.config import PROJECT_ROOT
from lib.files import write_json, writing

LIBRARIES = ("numpy", "scipy", "scikit-learn", "implicit")


def circumstances() -> dict[str, Any]:
    """Date, commit and machine of this moment; the commit ends in "+" where the working tree differs from it."""
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", "lib/performance_prediction")
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit() + ("+" if changed else ""),
        "processor": _processor(),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
    }


def commit() -> str:
    """The short hash of what is checked out, "unknown" outside a repository."""
    return _git("rev-parse", "--short", "HEAD") or "unknown"


def write_report(path: Path, report: Any) -> None:
    """Writes a report, a dataclass, as JSON; a place that cannot be written is one sentence."""
    writing(path, lambda: write_json(path, asdict(report)))


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(PROJECT_ROOT), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        return f"{names[0]}, {len(names)} threads"
    except (OSError, IndexError):
        return platform.processor() or platform.machine()
