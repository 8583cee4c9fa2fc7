"""A project in a folder of its own, used through the scripts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from lib.records import CHANCE_HEAD, RecordStore, RunRecord

ROOT = Path(__file__).resolve().parents[2]
FOLDS = 3
SMALL_MASKS = {"CVAUTOML_SEGMENTATION__IMAGE_HEIGHT_PX": "64", "CVAUTOML_SEGMENTATION__IMAGE_WIDTH_PX": "256"}


class Project:
    """Runs scripts as a user would, with every folder inside the test's own."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.where = ["--runs", str(folder / "runs"), "--out", str(folder / "out")]
        self.environment = {
            **os.environ,
            **SMALL_MASKS,
            "CVAUTOML_SPLIT__FOLDS": str(FOLDS),
            "CVAUTOML_CACHE_DIR": str(folder / "cache"),
            **environment,
        }

    def run(self, script: str, *arguments: str | Path) -> str:
        """Standard output of one script; fails the test with its error output when it does not end with 0."""
        command = [sys.executable, str(ROOT / "scripts" / script), *map(str, arguments), *self.where]
        done = subprocess.run(
            command, env=self.environment, cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def json(self, script: str, *arguments: str | Path) -> Any:
        """What the script prints with --json."""
        return json.loads(self.run(script, *arguments, "--json"))

    def records(self, data_set: str) -> dict[tuple[str, str], RunRecord]:
        """(backbone, head) → record of one data set; fails where a run did not finish."""
        records, broken = RecordStore(self.folder / "runs").read_all()
        assert not broken and {r.status for r in records} == {"finished"}
        return {(r.backbone.name, r.head.name): r for r in records if r.data_set.name == data_set}


def best_on_validation(records: dict[tuple[str, str], RunRecord]) -> float:
    """The highest quality on the validation parts; answering without looking is no pair."""
    return max(r.quality(part="validation") or 0.0 for r in records.values() if r.head.name != CHANCE_HEAD)
