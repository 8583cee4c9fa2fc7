"""How long run records take to read: the shipped ones under new keys, so many of them; cold, and with the index of the cache warm.

    python benchmarks/records.py --count 10000

Processor seconds of one core beside wall time, so that a busy machine is told from a slow reader. Writes
benchmarks/results/records_<date>.json.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path

import click
from reports import RESULTS, write_report

from lib.command_line import run_command, settings_options
from lib.config import Settings
from lib.records import key_of
from lib.records.index import read_for_answers
from lib.records.store import RecordStore


@click.command(help=__doc__)
@click.option(
    "--count", "counts", multiple=True, type=click.IntRange(min=1), default=(10_000,), show_default=True
)
@click.option(
    "--results", type=click.Path(path_type=Path), default=RESULTS, show_default="benchmarks/results"
)
@settings_options
def main(counts: tuple[int, ...], results: Path, settings: Settings) -> None:
    measured = {str(count): _measured(count, RecordStore(settings.runs_dir)) for count in counts}
    path = write_report("records", results, 1, seconds=measured)
    for count, seconds in measured.items():
        click.echo(f"{count} records: {seconds}")
    click.echo(f"wrote {path}")


def _measured(count: int, shipped: RecordStore) -> dict[str, dict[str, float]]:
    with tempfile.TemporaryDirectory() as folder:
        store, cache = RecordStore(Path(folder) / "runs"), Path(folder) / "cache"
        _write(store, shipped, count)
        return {
            "every file": _timed(store.read_all, count),
            "index written": _timed(lambda: read_for_answers(store, cache), count),
            "index warm": _timed(lambda: read_for_answers(store, cache), count),
        }


def _write(store: RecordStore, shipped: RecordStore, count: int) -> None:
    paths = [*shipped.paths()]
    texts = [path.read_text() for path in paths]
    for number, (path, text) in enumerate(islice(cycle(zip(paths, texts, strict=True)), count)):
        record = shipped.read(path)
        again = record.model_copy(update={"seed": 1000 + number})  # type: ignore[union-attr]
        again = again.model_copy(update={"key": key_of(again)})
        target = store.path_of(again)
        target.parent.mkdir(parents=True, exist_ok=True)
        new = text.replace(f'"key":"{record.key}"', f'"key":"{again.key}"')  # type: ignore[union-attr]
        target.write_text(new.replace(f'"seed":{record.seed}', f'"seed":{again.seed}'))  # type: ignore[union-attr]


def _timed(read: Callable[[], tuple[list[object], list[object]]], count: int) -> dict[str, float]:
    wall, processor = time.perf_counter(), time.process_time()
    records, broken = read()
    spent = {"wall": time.perf_counter() - wall, "processor": time.process_time() - processor}
    if len(records) != count or broken:
        raise click.ClickException(
            f"read {len(records)} of {count} records, {len(broken)} broken: {broken[:1]}"
        )
    return {name: round(seconds, 2) for name, seconds in spent.items()}


if __name__ == "__main__":
    run_command(main)
