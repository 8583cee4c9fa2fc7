"""How far a sweep scales: measured overhead and speed-up of the engines, a simulation of many workers, and very many records.

    python benchmarks/scaling.py engines     overhead a cell against the local loop, speed-up of 2 processes
    python benchmarks/scaling.py simulate    10,000 to 1,000,000 cells on 1 to 512 workers → docs/scaling.png
    python benchmarks/scaling.py records     generated records: seconds, bytes, memory

Each adds its part to benchmarks/results/scaling.json; `simulate` takes what the others measured from there.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image

from lib.command_line import run_command, settings_options
from lib.config import PROJECT_ROOT, Settings
from lib.files import write_atomically
from lib.performance_prediction.table.circumstances import commit
from lib.records import RecordStore, RunRecord

RESULTS = PROJECT_ROOT / "benchmarks" / "results" / "scaling.json"
PICTURE = PROJECT_ROOT / "docs" / "scaling.png"


@click.group(help=__doc__)
def main() -> None:
    pass


def keep(part: str, values: dict[str, Any]) -> None:
    """Adds a part to the results, with the machine, its load and the commit."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    where = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "load": round(os.getloadavg()[0], 1),
        "commit": commit(),
    }
    results[part] = {**where, **values}
    write_atomically(RESULTS, json.dumps(results, indent=1) + "\n")
    click.echo(json.dumps(results[part], indent=1))


# Engines


def _made_up_set(folder: Path, seed: int, images: int = 12) -> str:
    generator = np.random.default_rng(seed)
    for place, name in enumerate(("bright", "dark")):
        (folder / "images" / name).mkdir(parents=True)
        for number in range(images):
            pixels = generator.integers(0, 60, (32, 32)) + 120 * place
            Image.fromarray(pixels.astype(np.uint8)).save(folder / "images" / name / f"{number}.png")
    return str(folder)


def _timed_sweep(
    sets: tuple[str, ...], heads: tuple[str, ...], seeds: int, engine: Any
) -> tuple[float, float]:
    """Seconds until the first cell starts, and from there to the end, of a sweep in this process (None) or by `engine(settings)`."""
    from lib.benchmark.groups import groups_of
    from lib.benchmark.listening import Listener
    from lib.benchmark.parallel import run_groups
    from lib.benchmark.prepare import prepared
    from lib.benchmark.selection import Request
    from lib.benchmark.sweep import run_sweep

    class First(Listener):
        began = 0.0

        def cell_starts(self, cell: Any) -> None:
            self.began = self.began or time.perf_counter()

    with tempfile.TemporaryDirectory() as folder:
        where = {"runs_dir": Path(folder) / "runs", "cache_dir": Path(folder) / "cache"}
        settings = Settings(**where, threads=1, device="cpu")
        sweep = prepared(
            Request(sets, ("handcrafted",), heads, tuple(range(seeds)), epochs=2, folds=1), settings
        )
        data_sets, listener, begin = sweep.selection.by_fingerprint, First(), time.perf_counter()
        if engine is None:
            outcome = run_sweep(sweep.plan, data_sets, settings, listener)
        else:
            outcome = run_groups(
                sweep.plan, groups_of(sweep.plan), data_sets, settings, engine(settings), listener
            )
        end = time.perf_counter()
    assert outcome.count("finished") == len(sets) * len(heads) * seeds
    return listener.began - begin, end - listener.began


@main.command()
@click.option("--cells", default=200, show_default=True, help="Of the cheapest kind, for the overhead.")
@click.option("--seeds", default=20, show_default=True, help="Of each dear cell, for the speed-up.")
def engines(cells: int, seeds: int) -> None:
    """Overhead a cell with one worker, and the speed-up of two processes on work that fills them."""
    from lib.benchmark.on_ray import OnRay
    from lib.benchmark.processes import Processes

    _without_latency()
    os.environ.update({"RAY_worker_niceness": "0"})  # as every other process that is timed here
    one_task = {"threads": os.cpu_count()}  # as many processors as there are: one task at a time
    ways: dict[str, Any] = {
        "local": None,
        "one process": partial(Processes, 1),
        "ray": lambda settings: OnRay(None, settings.override(**one_task)),
    }
    with tempfile.TemporaryDirectory() as folder:
        sets = tuple(_made_up_set(Path(folder) / f"set{i}", i) for i in range(4))
        cheap = {}
        for name, engine in ways.items():
            start_s, running_s = _timed_sweep(sets, ("naive",), cells // 4, engine)
            cheap[name] = {"start_s": round(start_s, 2), "cell_s": round(running_s / cells, 4)}
            click.echo(f"{name}: {cheap[name]}")
        dear = {n: sum(_timed_sweep(sets, ("mlp", "student"), seeds, partial(Processes, n))) for n in (1, 2)}
    seconds = {f"processes_{n}": round(s, 1) for n, s in dear.items()}
    keep("engines", {"cheapest_cells": cheap, "dear_s": seconds, "speed_up": round(dear[1] / dear[2], 2)})


def _without_latency() -> None:
    """The local loop measures latency where the machine is quiet: not what is compared here."""
    import lib.zoo.latency

    lib.zoo.latency.backbone_latency = lambda *given: None  # type: ignore[assignment]


# Records


@main.command()
@click.option("--records", "n", default=100_000, show_default=True, help="How many to generate.")
@settings_options
def records(n: int, settings: Settings) -> None:
    """Writes and reads generated records: seconds, bytes, memory; the same as one compressed file a data set."""
    examples = RecordStore(settings.runs_dir).read_all(("finished",))[0]
    with tempfile.TemporaryDirectory() as folder:
        store = RecordStore(Path(folder))
        flushed = _rate(lambda i: store.write(_variant(examples, i, "flushed")), min(n, 1000))
        shutil.rmtree(folder)
        write_s = _rate(lambda i: _write_unflushed(store, _variant(examples, i)), n)
        files = [path for path in Path(folder).rglob("*.json")]
        begin = time.perf_counter()
        size = sum(path.stat().st_size for path in files)
        disk = (
            int(subprocess.run(["du", "-s", folder], capture_output=True, text=True).stdout.split()[0]) * 1024
        )
        list_s = time.perf_counter() - begin
        before, begin = _resident_mb(), time.perf_counter()
        everything, broken = store.read_all()
        read_s, read_mb = time.perf_counter() - begin, _resident_mb() - before
        assert len(everything) == n and not broken
        some = [_cell_of(record) for record in everything[:1000]]
        lookup_s = _rate(lambda i: store.find(*some[i]), len(some))
        values = {
            "records": n,
            "write_flushed_ms": 1000 * flushed,
            "write_unflushed_ms": 1000 * write_s,
            "bytes_each": size / n,
            "bytes_each_on_disk": disk / n,
            "list_s": list_s,
            "read_all_s": read_s,
            "read_all_mb": read_mb,
            "look_up_ms": 1000 * lookup_s,
            **_packed(files, Path(folder)),
        }
    keep("records", {name: float(f"{value:.4g}") for name, value in values.items()})


def _packed(files: list[Path], folder: Path) -> dict[str, float]:
    """The same records as lines of one compressed file, and as a table of what a leaderboard or ALS asks for."""
    import gzip

    lines = b"".join(path.read_bytes() for path in files[:20_000])
    begin = time.perf_counter()
    (folder / "all.jsonl.gz").write_bytes(gzip.compress(lines, 6))
    packed_s = time.perf_counter() - begin
    n = min(len(files), 20_000)
    begin = time.perf_counter()
    parsed = [
        json.loads(line) for line in gzip.decompress((folder / "all.jsonl.gz").read_bytes()).splitlines()
    ]
    plain_s = time.perf_counter() - begin
    begin = time.perf_counter()
    kept = [RunRecord.model_validate(one) for one in parsed[:2000]]
    validated_s = time.perf_counter() - begin
    size = (folder / "all.jsonl.gz").stat().st_size
    return {
        "jsonl_gz_bytes_each": size / n,
        "jsonl_gz_write_ms": 1000 * packed_s / n,
        "jsonl_gz_parse_ms": 1000 * plain_s / n,
        "validate_ms": 1000 * validated_s / len(kept),
    }


def _cell_of(record: RunRecord) -> tuple[str, str, str, int, str]:
    return record.data_set.name, record.backbone.name, record.head.name, record.seed, record.key


def _variant(examples: list[RunRecord], i: int, name: str = "") -> RunRecord:
    """A record like a real one with a seed of its own, and so a key."""
    from lib.records.store import key_of

    example = examples[i % len(examples)]
    record = example.model_copy(update={"seed": i, "data_set": example.data_set})
    return record.model_copy(update={"key": key_of(record)})


def _write_unflushed(store: RecordStore, record: RunRecord) -> None:
    from lib.records.store import _compact_json

    write_atomically(store.path_of(record), _compact_json(record), flush=False)


def _rate(act: Callable[[int], object], n: int) -> float:
    begin = time.perf_counter()
    for i in range(n):
        act(i)
    return (time.perf_counter() - begin) / n


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


# Simulation


@main.command()
@settings_options
def simulate(settings: Settings) -> None:
    """The discrete simulation of benchmarks/scaling_simulation.py over sizes and worker counts, and the picture."""
    from scaling_simulation import measured_groups, picture, study

    groups = measured_groups(RecordStore(settings.runs_dir).read_all(("finished",))[0])
    values = study(groups, json.loads(RESULTS.read_text()))
    keep("simulation", values)
    PICTURE.parent.mkdir(exist_ok=True)
    picture(values, PICTURE)


if __name__ == "__main__":
    run_command(main)
