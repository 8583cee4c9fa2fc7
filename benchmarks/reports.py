"""What every benchmark of training writes: its facts beside date, commit, machine and torch, as one JSON file."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from lib.config import PROJECT_ROOT
from lib.files import write_json
from lib.performance_prediction.table.circumstances import commit

RESULTS = PROJECT_ROOT / "benchmarks" / "results"


def write_report(name: str, folder: Path, threads: int, **facts: Any) -> Path:
    """Writes <folder>/<name>_<date>.json and returns its path."""
    now = datetime.now(UTC)
    report = {
        "date": now.isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": f"{platform.machine()}, {threads} thread{'s' if threads > 1 else ''}",
        "torch": torch.__version__,
        **facts,
    }
    path = folder / f"{name}_{now:%Y-%m-%d}.json"
    write_json(path, report)
    return path
