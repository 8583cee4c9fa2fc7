"""What a worker does, be it a process here or a Ray task elsewhere: loads a data set by path, runs a group, tells each record."""

from __future__ import annotations

import io
import platform
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from lib.benchmark.cell_run import Bench, run_cell
from lib.benchmark.listening import Listener
from lib.benchmark.plan import Cell
from lib.config import Settings
from lib.datasets import DataSet, load_data_set
from lib.datasets.loading import VIEW_MARK
from lib.errors import CvAutomlError
from lib.records import RunRecord

OPEN_DATA_SETS = 4

Told = tuple[int, RunRecord | None]
"""The place of a cell in its task, and its record; None when it starts."""


@dataclass(frozen=True)
class Task:
    """Cells of one group, and where a worker finds their images: `root`, with the `views` on it. `settings`: of the worker,
    nothing left to choose."""

    cells: tuple[Cell, ...]
    root: Path
    views: str
    settings: Settings

    @classmethod
    def of(cls, cells: tuple[Cell, ...], data_set: DataSet, settings: Settings) -> Task:
        """The task of some cells of a loaded data set."""
        views = data_set.name.partition(VIEW_MARK)[2]
        return cls(cells, data_set.root.resolve(), views, settings)


def run_task(task: Task, shipped: bytes | None = None) -> Iterator[Told]:
    """Runs the cells one after the other; `shipped`: the data set's folder as `packed` gives it, for workers that cannot read it.

    Raises CvAutomlError where the images or weights are not those of the plan: the record would lie.
    """
    if shipped is not None:
        task = replace(task, root=_unpacked(shipped, task))
    name, fingerprint, backbone = task.cells[0].group
    data_set = _loaded(task.root, task.views, task.settings)
    if data_set.fingerprint != fingerprint:
        raise CvAutomlError(
            f"{name}: {platform.node()} finds other images or labels in {task.root} than the plan was made for"
        )
    bench = Bench(data_set, backbone, task.settings, beside_others=True)
    for place, cell in enumerate(task.cells):
        yield place, None
        record = run_cell(cell, bench, Listener())
        _require_same_weights(cell, bench)
        yield place, record


def packed(folder: Path) -> bytes:
    """A folder as an uncompressed tar archive (images are compressed already)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(folder, arcname=".")
    return buffer.getvalue()


def _unpacked(shipped: bytes, task: Task) -> Path:
    """The folder on this machine, unpacked by whoever comes first; its name stays, for it may name the data set."""
    folder = task.settings.cache_dir / "shipped" / task.cells[0].data_set.fingerprint / task.root.name
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix="."))
        with tarfile.open(fileobj=io.BytesIO(shipped)) as archive:
            archive.extractall(draft, filter="data")
        with suppress(OSError):  # another worker was quicker
            draft.rename(folder)
        shutil.rmtree(draft, ignore_errors=True)
    return folder


@lru_cache(maxsize=OPEN_DATA_SETS)
def _opened(root: Path, views: str, settings: str) -> DataSet:
    spec = VIEW_MARK.join(filter(None, (str(root), views)))
    return load_data_set(spec, Settings.model_validate_json(settings))


def _loaded(root: Path, views: str, settings: Settings) -> DataSet:
    if not root.is_dir():
        advice = "share the folder with every node under this path, or send it along with --ship-data"
        raise CvAutomlError(f"{platform.node()} has no folder {root}: {advice}")
    return _opened(root, views, settings.model_dump_json())


def _require_same_weights(cell: Cell, bench: Bench) -> None:
    planned, found = cell.backbone, bench.opened.info if bench.opened else cell.backbone
    if found.weights_origin == planned.weights_origin and found.weights_hash != planned.weights_hash:
        raise CvAutomlError(f"{planned.name}: {platform.node()} has other weights than the plan was made for")
